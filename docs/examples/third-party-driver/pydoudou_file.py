"""The mode ``file``: the members stand in a JSON file, {"orders": [{"host": "10.0.0.1", "port": 8080}]}."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import anyio
from anyio.abc import TaskStatus

from pydoudou.drivers.contract import Sink, SubscribingDriver
from pydoudou.drivers.environment import Environment
from pydoudou.drivers.kit.listing import Listing
from pydoudou.drivers.kit.refusals import Refusals
from pydoudou.drivers.kit.service_names import plain_name
from pydoudou.drivers.kit.validation import Unusable, checked_member
from pydoudou.drivers.members import DriverStatus, Instance, Member, MemberState


def read_settings(environment: Environment) -> tuple[str, float]:
    path = environment.text("GDD_FILE_PATH")
    if not path:
        environment.problem("GDD_FILE_PATH", "the path of a JSON file")
    return path, environment.duration("GDD_FILE_INTERVAL", 1.0)


def create(settings: tuple[str, float]) -> FileDriver:
    return FileDriver(*settings)


class FileDriver(SubscribingDriver):
    detection_bound = 60.0  # seconds within which whoever writes the file takes a dead member out of it

    def __init__(self, path: str, interval: float) -> None:
        self._path, self._interval = path, interval
        self._wanted: set[str | None] = set()
        self._members: list[Member] = []
        self._listing = Listing(gone=MemberState.LEFT)
        self._refusals = Refusals(logging.getLogger(__name__))
        self._fault = "not started"

    async def run(self, sink: Sink, instance: Instance | None, *, task_status: TaskStatus[None]) -> None:
        self._sink = sink
        await self._look()
        task_status.started()
        while True:
            await anyio.sleep(self._interval)
            await self._look()

    async def _look(self) -> None:
        try:
            self._members = list(self._parsed(await anyio.Path(self._path).read_text("utf-8")))
        except (OSError, ValueError, TypeError, AttributeError) as error:
            self._fault = f"cannot read {self._path}: {type(error).__name__}: {error}"
            self._sink.authoritative(False, self._fault)  # what was reported last stays in the view, marked stale
            return
        self._fault = ""
        self._sink.authoritative(True)
        self._report()

    def _report(self) -> None:
        wanted = [member for member in self._members if not self._wanted.isdisjoint((None, member.service))]
        self._sink.observe(self._listing.listed(wanted))

    async def subscribe(self, service: str | None) -> None:
        self._wanted.add(service and plain_name(service))
        self._report()

    async def unsubscribe(self, service: str | None) -> None:
        self._wanted.discard(service and plain_name(service))
        self._report()  # whoever nobody asks for any more leaves

    async def update(self, instance: Instance) -> None:
        """Others write the file: nothing is registered."""

    async def leave(self) -> None:
        """Nothing was registered, so nothing is taken back."""

    def status(self) -> DriverStatus:
        message = self._fault or f"members in {self._path}: {len(self._members)}"
        return DriverStatus("file", not self._fault, message, len(self._members))

    def _parsed(self, text: str) -> Iterator[Member]:
        for service, items in json.loads(text).items():
            for item in items:
                try:
                    yield checked_member(service, item.get("host"), item.get("port"), weight=item.get("weight"))
                except Unusable as unusable:
                    self._refusals.note(self._path, unusable)
