"""Members that all fail, in a process of their own that counts the requests which arrive.

As a program (``python failing_members.py HOW N``) it says ``ready`` with its ports, and how many requests came when it
is told to ``count``. `FailingMembers` is the other end.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.driven import Driven

__all__ = ["WAYS", "FailingMembers"]

WAYS = ("503", "reset", "silent", "refused")
"""Answer 503; reset the connection once the request is there; never answer; refuse every connection."""

_BUSY = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"


class FailingMembers(Driven):
    """The members while they run.

    Args:
        how: one of `WAYS`.

    Attributes:
        addresses: ``http://host:port`` of each.
    """

    def __init__(self, how: str, members: int) -> None:
        super().__init__(f"members: {how}", [sys.executable, __file__, how, str(members)])
        ready = self.wait("ready", lambda event: event["event"] == "ready", timeout=30)
        self.addresses = [f"http://127.0.0.1:{port}" for port in ready["ports"]]

    def count(self) -> int:
        """How many requests have arrived; 0 where none can."""
        return int(self.ask(json.dumps({"cmd": "count"}), "count")["count"])


class _Failing(asyncio.Protocol):
    counted = 0
    how = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        requests = data.count(b"\r\n\r\n")
        _Failing.counted += requests
        if self.how == "503":
            self.transport.write(_BUSY * requests)
        elif self.how == "reset":
            self.transport.abort()


async def serve(how: str, members: int) -> None:
    """Fail until standard input closes."""
    loop = asyncio.get_running_loop()
    _Failing.how = how
    taken = [socket.create_server(("127.0.0.1", 0)) for _ in range(members if how != "refused" else 0)]
    for one in taken:
        await loop.create_server(_Failing, sock=one)
    if how == "refused":  # bound, so that nobody else gets the port, and not listening
        taken = [socket.socket() for _ in range(members)]
        for one in taken:
            one.bind(("127.0.0.1", 0))
    _say("ready", ports=[one.getsockname()[1] for one in taken])
    while await loop.run_in_executor(None, sys.stdin.readline):
        _say("result", cmd="count", ok=True, count=_Failing.counted)


def _say(event: str, **fields: Any) -> None:
    print(json.dumps({"event": event, **fields}), flush=True)


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], int(sys.argv[2])))
