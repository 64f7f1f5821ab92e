"""One look-up of a host name, in a thread that nobody has to wait for.

A name service that does not answer keeps ``getaddrinfo`` for ten seconds and longer, and a thread cannot be stopped.
The threads of an event loop's own pool hold up the end of the loop, or of the process, for as long. These do not: a
look-up that is given up goes on in a daemon thread, and its answer falls on deaf ears.
"""

from __future__ import annotations

import contextlib
import socket
import threading

import anyio
from anyio.from_thread import BlockingPortal

from .protocol.addresses import ip_of

__all__ = ["resolve_all"]


async def resolve_all(host: str) -> list[str]:
    """Every address of `host`, IP literals included; cancelling ends the wait at once.

    Raises:
        OSError: the name cannot be resolved.
        UnicodeError: it is no host name.
    """
    if ip_of(host) is not None:
        return [host]
    found: list[str] = []
    failure: list[Exception] = []
    answered = anyio.Event()

    def look_up() -> None:
        try:
            found.extend(str(sockaddr[0]) for *_, sockaddr in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as error:
            failure.append(error)
        with contextlib.suppress(RuntimeError):  # given up: the portal, or its loop, is closed
            portal.start_task_soon(answered.set)

    async with BlockingPortal() as portal:
        try:
            threading.Thread(target=look_up, name=f"look-up of {host[:80]!r}", daemon=True).start()
        except RuntimeError as error:
            raise OSError(f"no thread for a look-up: {error}") from error
        await answered.wait()
    if failure:
        raise failure[0]
    return list(dict.fromkeys(found))
