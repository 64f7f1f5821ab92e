"""One look-up of a host name, which nobody has to wait for."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import anyio
import pytest

from pydoudou.drivers.memberlist.lookups import resolve_all

BACKENDS = ["asyncio", "trio"]


class NameService:
    """Stands in for that of the machine; names that it does not know keep the look-up for as long as the test likes."""

    def __init__(self) -> None:
        self.names: dict[str, list[str]] = {}
        self.release = threading.Event()
        self.asked: list[threading.Thread] = []

    def getaddrinfo(self, host: str, *_: Any, **__: Any) -> list[Any]:
        self.asked.append(threading.current_thread())
        if host not in self.names:
            self.release.wait(30)
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0)) for address in self.names[host]]


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[NameService]:
    found = NameService()
    monkeypatch.setattr(socket, "getaddrinfo", found.getaddrinfo)
    yield found
    found.release.set()
    for thread in found.asked:
        thread.join(5)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_name_has_each_of_its_addresses_once(service: NameService, backend: str) -> None:
    service.names["pod-1"] = ["10.0.0.1", "10.0.0.2", "10.0.0.1"]
    assert anyio.run(resolve_all, "pod-1", backend=backend) == ["10.0.0.1", "10.0.0.2"]


@pytest.mark.parametrize("literal", ["10.0.0.1", "fd00::1"])
def test_an_ip_address_is_not_looked_up(service: NameService, literal: str) -> None:
    assert anyio.run(resolve_all, literal) == [literal]
    assert service.asked == []


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_name_that_does_not_exist_is_an_error(service: NameService, backend: str) -> None:
    service.release.set()
    with pytest.raises(OSError, match="no such name"):
        anyio.run(resolve_all, "nobody", backend=backend)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_look_up_that_is_given_up_holds_up_neither_the_loop_nor_the_end_of_the_process(
    service: NameService, backend: str
) -> None:
    async def impatient() -> None:
        with anyio.move_on_after(0.05):
            await resolve_all("slow")

    began = time.monotonic()
    anyio.run(impatient, backend=backend)
    assert time.monotonic() - began < 5
    (thread,) = service.asked
    assert thread.daemon
    assert thread.is_alive()


def test_an_answer_that_nobody_waits_for_any_more_is_dropped(service: NameService) -> None:
    async def impatient() -> None:
        with anyio.move_on_after(0.05):
            await resolve_all("slow")
        service.release.set()
        await anyio.to_thread.run_sync(service.asked[0].join, 5)
        assert not service.asked[0].is_alive()

    anyio.run(impatient)
