"""A request that waits for a place while its client may hang up: nobody has to do then what nobody waits for.

The server says so by a message. Looking for it takes what comes before it, a part of the body, which is kept for the
application; with more of the body to come it is not looked for.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable

import anyio

from ..asgi_answers import Message as Scope
from ..asgi_answers import Receive

__all__ = ["WaitingRequest"]


class WaitingRequest:
    """What came of a request while it waited."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._kept: deque[Scope] = deque()

    async def gone(self) -> None:
        """Return when the client has hung up."""
        while True:
            message = await self._receive()
            self._kept.append(message)
            if message["type"] == "http.disconnect":
                return
            if message.get("more_body", False):
                await anyio.sleep_forever()

    def receive(self) -> Awaitable[Scope]:
        """For the application, in place of the server's: what was kept, and then what comes."""
        return self._first_kept() if self._kept else self._receive()

    async def _first_kept(self) -> Scope:
        return self._kept.popleft()
