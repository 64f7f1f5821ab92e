"""A driver that reports only what somebody asks for, as that of Nacos does, and takes its time."""

from __future__ import annotations

import anyio
import attrs
from support.scripted import ScriptedDriver, ScriptedPlugin

from pydoudou import Member, MemberState
from pydoudou.drivers.contract import SubscribingDriver

__all__ = ["AskedDriver", "AskedPlugin"]


class AskedDriver(ScriptedDriver, SubscribingDriver):
    """Reports the plugin's `address` for each service that it is asked for, `answers_after` seconds later."""

    def __init__(self, plugin: AskedPlugin) -> None:
        super().__init__(plugin)
        self._asked_plugin = plugin

    async def subscribe(self, service: str | None) -> None:
        await anyio.sleep(self._asked_plugin.answers_after)
        self._asked_plugin.wanted.append(service)
        self._observe(service, MemberState.ALIVE)

    async def unsubscribe(self, service: str | None) -> None:
        self._asked_plugin.wanted.remove(service)
        self._observe(service, MemberState.LEFT)

    def _observe(self, service: str | None, state: MemberState) -> None:
        assert self.sink is not None
        host, port = self._asked_plugin.address
        self.sink.observe([Member(service or "everything", host, port, state=state)])


@attrs.define(eq=False)
class AskedPlugin(ScriptedPlugin):
    """`wanted` are the services that the drivers report now."""

    answers_after: float = 0.0
    address: tuple[str, int] = ("10.0.0.1", 6060)
    wanted: list[str | None] = attrs.Factory(list)

    def create(self, settings: object) -> AskedDriver:
        driver = AskedDriver(self)
        self.drivers.append(driver)
        return driver
