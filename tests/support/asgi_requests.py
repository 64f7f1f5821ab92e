"""Requests to an ASGI application without a server, and what it answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import anyio
import attrs

__all__ = ["AsgiAnswer", "ask"]


@attrs.define
class AsgiAnswer:
    """What was sent so far."""

    status: int = 0
    headers: dict[str, str] = attrs.Factory(dict)
    body: bytes = b""


async def ask(
    app: Any,
    answer: AsgiAnswer | None = None,
    *,
    body: Sequence[bytes] = (b"",),
    hangs_up: anyio.Event | None = None,
    **scope: Any,
) -> AsgiAnswer:
    """Ask for ``/``; `scope` overrides what a server says of the request. The answer is filled as it comes.

    Args:
        body: in the parts that it comes in.
        hangs_up: when the client does; None: it waits for ever.
    """
    said = AsgiAnswer() if answer is None else answer
    came = [{"type": "http.request", "body": part, "more_body": True} for part in body]
    came[-1]["more_body"] = False

    async def receive() -> dict[str, Any]:
        if came:
            return came.pop(0)
        if hangs_up is None:
            await anyio.sleep_forever()
        else:
            await hangs_up.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        await anyio.lowlevel.checkpoint()
        if message["type"] == "http.response.start":
            said.status = message["status"]
            said.headers = {name.decode(): value.decode() for name, value in message["headers"]}
        elif message["type"] == "http.response.body":
            said.body += message.get("body", b"")

    request = {"type": "http", "method": "GET", "path": "/", "headers": [], "client": ("192.0.2.1", 4711)}
    await app({**request, **scope}, receive, send)
    return said
