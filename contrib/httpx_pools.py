"""The connections behind one `DiscoveryTransport`: an httpx transport, which is a connection pool, for every member.

Why not one pool for all: for every request httpcore walks all connections of a pool and asks the kernel about every
idle one. With one idle connection to each of ten members an `httpx.AsyncClient` loses a quarter of its rate by that;
with a pool per member it loses none, and the connections to a member that left can be closed.

A pool is retired when a member appears that was not seen before, which is the sign that the view moved, and its own
member is no longer in the view. It is closed once no response is read from it.
"""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

import httpx

from ..drivers.members import Member

__all__ = ["Given", "MemberPools"]

T = TypeVar("T", bound=httpx.BaseTransport | httpx.AsyncBaseTransport)

Given = (
    httpx.BaseTransport
    | httpx.AsyncBaseTransport
    | Callable[[], httpx.BaseTransport]
    | Callable[[], httpx.AsyncBaseTransport]
    | None
)
"""A transport that all share, a function that makes one per member, or None for transports without options."""


class MemberPools(Generic[T]):
    """The transports for one flavour of client, sync or async.

    Args:
        flavour: what the client needs, `httpx.BaseTransport` or `httpx.AsyncBaseTransport`.
        default: makes a transport when none is given.
        members: the members of all services now.
    """

    def __init__(
        self,
        given: Given,
        flavour: type[T],
        default: Callable[[ssl.SSLContext], T],
        members: Callable[[], Iterable[Member]],
    ) -> None:
        self._given = given
        self._flavour = flavour
        self._default = default
        self._members = members
        self._context: ssl.SSLContext | None = None
        self._elsewhere: T | None = None
        self._pools: dict[tuple[str, int], T] = {}
        self._retired: list[T] = []
        self._lock = threading.Lock()

    def elsewhere(self) -> T:
        """The transport for requests that are not for a service. Raises `TypeError` for the wrong flavour."""
        if self._elsewhere is None:
            with self._lock:
                self._elsewhere = self._elsewhere or self._new()
        return self._elsewhere

    def of(self, member: Member) -> T:
        """The transport for requests to `member`. Raises `TypeError` for the wrong flavour."""
        pool = self._pools.get((member.host, member.port))
        return self._welcome(member) if pool is None else pool

    def surplus(self) -> list[T]:
        """The transports of members that left and have nothing more to do, for the caller to close."""
        if not self._retired:
            return []
        with self._lock:
            idle = [pool for pool in self._retired if _is_idle(pool)]
            self._retired = [pool for pool in self._retired if pool not in idle]
        return idle

    def all(self) -> list[T]:
        """Every transport, for the caller to close; the next request makes new ones."""
        with self._lock:
            pools = [*self._pools.values(), *self._retired]
            if self._elsewhere is not None:
                pools.append(self._elsewhere)
            self._elsewhere, self._pools, self._retired = None, {}, []
        # One that was given as an instance stands for all members.
        return list(dict.fromkeys(pools))

    def _welcome(self, newcomer: Member) -> T:
        present = {(member.host, member.port) for member in (newcomer, *self._members())}
        with self._lock:
            address = (newcomer.host, newcomer.port)
            if address not in self._pools:
                pools = {key: pool for key, pool in self._pools.items() if key in present}
                if not isinstance(self._given, self._flavour):
                    self._retired += [pool for key, pool in self._pools.items() if key not in present]
                pools[address] = self._new()
                self._pools = pools
            return self._pools[address]

    def _new(self) -> T:
        if self._given is None:
            # What costs in a transport is the TLS context, some 10 ms; all of them share one.
            self._context = self._context or httpx.create_ssl_context()
            return self._default(self._context)
        made = self._given() if callable(self._given) else self._given
        if isinstance(made, self._flavour):
            return made
        client, wanted = (
            ("httpx.Client", "httpx.HTTPTransport")
            if self._flavour is httpx.BaseTransport
            else ("httpx.AsyncClient", "httpx.AsyncHTTPTransport")
        )
        raise TypeError(
            f"this DiscoveryTransport was given a {type(made).__name__}, which {client} cannot use: "
            f"give it the class {wanted}, a function that makes one, or nothing"
        )


def _is_idle(pool: httpx.BaseTransport | httpx.AsyncBaseTransport) -> bool:
    """Whether no request uses the pool. Of a transport that is not httpx's own nobody can tell: it stays until the end.

    A thread that got the pool just before it was retired may use it still; the pool then connects anew and is collected
    with its last request.
    """
    connections = getattr(getattr(pool, "_pool", None), "connections", None)
    return connections is not None and all(one.is_idle() or one.is_closed() for one in connections)
