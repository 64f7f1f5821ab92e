"""A start that waits for a server which keeps configuration, and which takes connections and says nothing."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import time
from collections.abc import Iterator

import pytest
from support.gossip import gossiping
from support.nacos_server import pick_ports
from support.waiting import eventually

from pydoudou import RegistryStateError


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of such a server: HTTP, and gRPC 1000 above."""
    (port,) = pick_ports(offsets=(0, 1000))
    with contextlib.ExitStack() as stack:
        for offset in (0, 1000):
            stack.enter_context(socket.create_server(("127.0.0.1", port + offset)))
        yield f"127.0.0.1:{port}"


def test_it_can_be_stopped_meanwhile(silent: str, caplog: pytest.LogCaptureFixture) -> None:
    remote = {
        "GDD_CONFIG_REMOTE_TYPE": "nacos",
        "GDD_NACOS_CONFIG_DATAID": "orders.env",
        "GDD_NACOS_SERVER_ADDR": silent,
    }
    registry = gossiping("orders", **remote)
    ended: list[BaseException] = []

    def start() -> None:
        try:
            registry.start()
        except RegistryStateError as error:
            ended.append(error)

    starting = threading.Thread(target=start)
    starting.start()
    eventually(lambda: not registry.stopped)
    began = time.monotonic()
    registry.stop()
    assert time.monotonic() - began < 4
    starting.join(5)
    assert len(ended) == 1
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []
