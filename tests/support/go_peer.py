"""A real Go node on HashiCorp memberlist, as a process that is driven over its standard input and output."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from pydoudou.drivers.memberlist.metadata import encode_instance
from pydoudou.drivers.members import Instance

from .driven import Driven
from .peers import locate

__all__ = ["FAST", "GoPeer", "go_meta"]

FAST = (
    *("-probe-interval", "500ms", "-probe-timeout", "200ms", "-gossip-interval", "50ms"),
    *("-suspicion-mult", "3", "-tcp-timeout", "2s"),
)
"""Intervals for tests on loopback; the Python side uses the same."""


def go_meta(service: str, port: int, **fields: Any) -> str:
    """The metadata of a Go process that offers a service, as the peer takes it."""
    when = datetime(2026, 1, 1, tzinfo=UTC)
    return "hex:" + encode_instance(Instance(service, "127.0.0.1", port, registered_at=when, **fields)).hex()


class GoPeer(Driven):
    """A running node.

    Attributes:
        address: ``host:port`` of its gossip.
    """

    def __init__(self, name: str, *flags: str, fast: bool = True, enter: Sequence[str] = ()) -> None:
        peer = str(locate("memberlist") / "peer")
        super().__init__(name, [*enter, peer, "-name", name, *(FAST if fast else ()), *flags])
        try:
            ready = self.wait_for("ready")
        except BaseException:
            self.close()
            raise
        self.pid = int(ready["pid"])
        bind = str(ready["bind"])
        self.address = f"[{bind}]:{ready['port']}" if ":" in bind else f"{bind}:{ready['port']}"

    def logged(self, *words: str) -> list[str]:
        """Log lines that contain one of the words (needs ``-log json``)."""
        return [event["line"] for event in self.events("log") if any(word in event["line"] for word in words)]

    def wait_for(
        self, kind: str, node: str | None = None, *, after: int = 0, timeout: float = 10.0, **fields: Any
    ) -> dict[str, Any]:
        """The first event of this kind, about this node, with these fields, among those from number `after` on; waits
        for it.

        Raises:
            AssertionError: it does not come in time, or the process ends before it does.
        """

        def matches(event: dict[str, Any]) -> bool:
            about = node is None or event.get("node", {}).get("name") == node
            return event["event"] == kind and about and fields.items() <= event.items()

        return self.wait(f"{kind} of {node}", matches, after=after, timeout=timeout)

    def command(self, line: str, timeout: float = 15.0) -> dict[str, Any]:
        """Give a command and return its result.

        Raises:
            AssertionError: it failed, or did not answer in time.
        """
        return self.ask(line, line.split()[0], timeout)

    def members(self) -> set[str]:
        """The names of the nodes that are neither dead nor gone."""
        return {member["name"] for member in self.command("members")["members"]}
