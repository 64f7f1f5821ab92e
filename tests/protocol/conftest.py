"""Says at the end of a run what was captured from Go nodes, and where our outcome is not theirs."""

from __future__ import annotations

from typing import Any

import pytest


def pytest_terminal_summary(terminalreporter: Any) -> None:
    told = {
        name: value
        for report in terminalreporter.stats.get("passed", ())
        for name, value in getattr(report, "user_properties", ())
    }
    if "kinds" in told:
        count, kinds, differently = told["kinds"]
        terminalreporter.section("captured from real Go nodes")
        terminalreporter.line(f"{count} packets and streams, {len(kinds)} kinds: {', '.join(kinds)}")
        terminalreporter.line(
            "written again byte for byte, encrypted ones with the captured nonce: "
            f"{'all but ' + ', '.join(differently) if differently else 'all'}"
        )
    if "hostile" in told:
        count, harder = told["hostile"]
        terminalreporter.line(
            f"{count} hostile inputs: {count - len(harder)} with Go's outcome, {len(harder)} with a stricter one:"
        )
        for name, reason in harder.items():
            terminalreporter.line(f"  {name}: {reason}")


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing in the protocol opens a socket; a test here that did would not belong here."""
    import socket

    def refuse(*arguments: object, **named: object) -> None:
        raise AssertionError("a protocol test opened a socket")

    monkeypatch.setattr(socket.socket, "connect", refuse)
