"""Holds the tests of the protocol to having no I/O."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing in the protocol opens a socket; a test here that did would not belong here."""
    import socket

    def refuse(*arguments: object, **named: object) -> None:
        raise AssertionError("a protocol test opened a socket")

    monkeypatch.setattr(socket.socket, "connect", refuse)
