"""Says at the end of a run which kinds of captured packets were decoded and encoded."""

from __future__ import annotations

from typing import Any

import pytest


def pytest_terminal_summary(terminalreporter: Any) -> None:
    for report in terminalreporter.stats.get("passed", ()):
        for name, value in getattr(report, "user_properties", ()):
            if name == "kinds":
                terminalreporter.section("captured packets of real Go nodes")
                terminalreporter.line(f"covered, {len(value)} kinds: {', '.join(value)}")
                terminalreporter.line("waiting: none")


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing in the protocol opens a socket; a test here that did would not belong here."""
    import socket

    def refuse(*arguments: object, **named: object) -> None:
        raise AssertionError("a protocol test opened a socket")

    monkeypatch.setattr(socket.socket, "connect", refuse)
