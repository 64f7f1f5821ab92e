"""A driver that reports what the test tells it to, for everything above the drivers."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Mapping
from typing import Any

import anyio
import anyio.lowlevel
import attrs
from anyio.abc import TaskStatus
from anyio.from_thread import BlockingPortal

from pydoudou import DriverStatus, Member, MemberState, Settings
from pydoudou.drivers.contract import Sink
from pydoudou.drivers.environment import Environment
from pydoudou.drivers.members import Instance

__all__ = ["ScriptedDriver", "ScriptedPlugin", "member", "settings"]


def member(host: str = "10.0.0.1", service: str = "orders", port: int = 6060, **fields: Any) -> Member:
    """A member like those that drivers report."""
    return Member(service, host, port, **fields)


class ScriptedDriver:
    """One run. `log` tells what the registry asked for."""

    def __init__(self, plugin: ScriptedPlugin) -> None:
        self.mode = plugin.mode
        self.detection_bound = plugin.detection_bound
        self.log: list[str] = []
        self.instance: Instance | None = None
        self.sink: Sink | None = None
        self._plugin = plugin
        self._ends: anyio.Event | None = None
        self._portal: BlockingPortal | None = None
        self._error: BaseException | None = None

    async def run(self, sink: Sink, instance: Instance | None, *, task_status: TaskStatus[None]) -> None:
        self.log.append("run")
        self.sink, self.instance = sink, instance
        if self._plugin.start_error is not None:
            await anyio.lowlevel.checkpoint()
            raise self._plugin.start_error
        if self._plugin.start_gate is not None:
            await anyio.to_thread.run_sync(self._plugin.start_gate.result)
        self._ends = anyio.Event()
        async with BlockingPortal() as self._portal:
            if self._plugin.members:
                sink.observe(self._plugin.members)
            task_status.started()
            try:
                await self._ends.wait()
            finally:
                self.log.append("end")
                await self._portal.stop(cancel_remaining=True)
        if self._error is not None:
            raise self._error

    def end(self, error: BaseException | None) -> None:
        """End the run as a defect would."""
        assert self._portal is not None
        assert self._ends is not None
        self._error = error
        self._portal.call(self._ends.set)

    async def update(self, instance: Instance) -> None:
        if self._plugin.update_error is not None:
            raise self._plugin.update_error
        self.instance = instance

    async def leave(self) -> None:
        self.log.append("leave")
        if self._plugin.leave_error is not None:
            raise self._plugin.leave_error
        await anyio.sleep(self._plugin.leave_takes)

    def status(self) -> DriverStatus:
        return DriverStatus(self.mode, ready=True, message="scripted")


@attrs.define(eq=False)
class ScriptedPlugin:
    """A `DriverPlugin` whose drivers do what these fields say.

    Attributes:
        drivers: those made so far, one for each run.
        members: what a driver reports as it starts.
        start_gate: what a driver waits for before it has started.
    """

    mode: str = "scripted"
    detection_bound: float = 10.0
    members: list[Member] = attrs.Factory(list)
    start_error: BaseException | None = None
    start_gate: concurrent.futures.Future[None] | None = None
    update_error: BaseException | None = None
    leave_error: BaseException | None = None
    leave_takes: float = 0.0
    drivers: list[ScriptedDriver] = attrs.Factory(list)

    def read_settings(self, environment: Environment) -> str:
        return environment.text("GDD_SCRIPTED")

    def create(self, settings: Any) -> ScriptedDriver:
        self.drivers.append(ScriptedDriver(self))
        return self.drivers[-1]

    @property
    def driver(self) -> ScriptedDriver:
        """The one made last."""
        return self.drivers[-1]

    @property
    def sink(self) -> Sink:
        """Where the driver of the present run reports."""
        assert self.driver.sink is not None
        return self.driver.sink

    def report(self, *members: Member, state: MemberState | None = None) -> None:
        """Have the driver report these members, all of them in `state` if one is given."""
        self.sink.observe(members if state is None else [attrs.evolve(member, state=state) for member in members])


def settings(*plugins: ScriptedPlugin, **fields: Any) -> Settings:
    """Settings that run these plugins, in this order; by default for a process that only looks."""
    by_mode: Mapping[str, Any] = {plugin.mode: plugin for plugin in plugins}
    fields = {"register": False} | fields
    return Settings(tuple(by_mode), plugins=by_mode, drivers=dict.fromkeys(by_mode), **fields)
