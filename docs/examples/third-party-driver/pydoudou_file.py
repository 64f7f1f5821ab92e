"""The mode ``file``: the members stand in a JSON file, {"orders": [{"host": "10.0.0.1", "port": 8080}]}."""

from __future__ import annotations

import json

import anyio
import attrs
from anyio.abc import TaskStatus

from pydoudou.drivers.contract import DriverStatus, Instance, Member, MemberState, Sink
from pydoudou.drivers.environment import Environment


def read_settings(environment: Environment) -> tuple[str, float]:
    path = environment.text("GDD_FILE_PATH")
    if not path:
        environment.problem("GDD_FILE_PATH", "the path of a JSON file")
    return path, environment.duration("GDD_FILE_INTERVAL", 1.0)


def create(settings: tuple[str, float]) -> FileDriver:
    return FileDriver(*settings)


class FileDriver:
    mode = "file"
    detection_bound = 60.0  # seconds within which whoever writes the file takes a dead member out of it

    def __init__(self, path: str, interval: float) -> None:
        self._path, self._interval = path, interval
        self._members: dict[tuple[str, str, int], Member] = {}
        self._fault = "not started"

    async def run(self, sink: Sink, instance: Instance | None, *, task_status: TaskStatus[None]) -> None:
        await self._look(sink)
        task_status.started()
        while True:
            await anyio.sleep(self._interval)
            await self._look(sink)

    async def _look(self, sink: Sink) -> None:
        try:
            members = _parsed(await anyio.Path(self._path).read_text("utf-8"))
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            self._fault = f"cannot read {self._path}: {type(error).__name__}: {error}"
            sink.authoritative(False, self._fault)  # what was reported last stays in the view, marked stale
            return
        gone = [attrs.evolve(old, state=MemberState.LEFT) for key, old in self._members.items() if key not in members]
        self._members, self._fault = members, ""
        sink.authoritative(True)
        sink.observe([*gone, *members.values()])

    async def update(self, instance: Instance) -> None:
        """Others write the file: nothing is registered."""

    async def leave(self) -> None:
        """Nothing was registered, so nothing is taken back."""

    def status(self) -> DriverStatus:
        message = self._fault or f"members in {self._path}: {len(self._members)}"
        return DriverStatus(self.mode, not self._fault, message, len(self._members))


def _parsed(text: str) -> dict[tuple[str, str, int], Member]:
    found = [
        Member(service, str(item["host"]), int(item["port"]), weight=max(0.0, float(item.get("weight", 1))))
        for service, items in json.loads(text).items()
        for item in items
    ]
    return {member.key: member for member in found}
