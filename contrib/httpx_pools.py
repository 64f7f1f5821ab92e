"""The connections behind one `DiscoveryTransport`: an httpx transport, which is a connection pool, for every member.

Why not one pool for all: for every request httpcore walks all connections of a pool and asks the kernel about every
idle one. With one idle connection to each of ten members an `httpx.AsyncClient` loses a quarter of its rate by that;
with a pool per member it loses none, and the connections to a member that left can be closed.

A pool is retired when the members of its service change and its own is no longer among them. It is closed once no
response is read from it.
"""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

import httpx

from ..drivers.members import Member
from .httpx_internals import is_idle

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

_Key = tuple[str, str, int]


class MemberPools(Generic[T]):
    """The transports for one flavour of client, sync or async.

    Args:
        flavour: what the client needs, `httpx.BaseTransport` or `httpx.AsyncBaseTransport`.
        default: makes a transport when none is given.

    Attributes:
        retired: the transports of members that left; `surplus` takes those out that have nothing more to do.
    """

    def __init__(self, given: Given, flavour: type[T], default: Callable[[ssl.SSLContext], T]) -> None:
        if not (given is None or callable(given) or isinstance(given, (httpx.BaseTransport, httpx.AsyncBaseTransport))):
            raise TypeError(f"transport is a {type(given).__name__}; accepted: a transport, or what makes one")
        if isinstance(given, type) and not issubclass(given, (httpx.BaseTransport, httpx.AsyncBaseTransport)):
            raise TypeError(f"transport is the class {given.__name__}, which is no transport of httpx")
        self._given = given
        self._flavour = flavour
        self._default = default
        self._context: ssl.SSLContext | None = None
        self._elsewhere: T | None = None
        self._pools: dict[_Key, T] = {}
        self.retired: list[T] = []
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._pools) + len(self.retired)

    def elsewhere(self) -> T:
        """The transport for requests that are not for a service. Raises `TypeError` for the wrong flavour."""
        if self._elsewhere is None:
            with self._lock:
                self._elsewhere = self._elsewhere or self._new()
        return self._elsewhere

    def of(self, host: str, member: Member) -> T:
        """The transport to a member of the service that URLs call `host`. Raises `TypeError` for the wrong flavour."""
        key = (host, member.host, member.port)
        pool = self._pools.get(key)
        if pool is None:
            with self._lock:
                pool = self._pools.get(key)
                if pool is None:
                    pool = self._pools[key] = self._new()
        return pool

    def retire(self, host: str, present: Iterable[Member]) -> None:
        """Of this service only these members are left."""
        kept = {(host, member.host, member.port) for member in present}
        with self._lock:
            gone = [key for key in self._pools if key[0] == host and key not in kept]
            pools = [self._pools.pop(key) for key in gone]
            if not isinstance(self._given, self._flavour):
                self.retired += pools

    def surplus(self) -> list[T]:
        """The transports of members that left and have nothing more to do, for the caller to close."""
        with self._lock:
            idle = [pool for pool in self.retired if is_idle(pool)]
            self.retired = [pool for pool in self.retired if pool not in idle]
        return idle

    def all(self) -> list[T]:
        """Every transport, for the caller to close; the next request makes new ones."""
        with self._lock:
            pools = [*self._pools.values(), *self.retired]
            if self._elsewhere is not None:
                pools.append(self._elsewhere)
            self._elsewhere, self._pools, self.retired = None, {}, []
        # One that was given as an instance stands for all members.
        return list(dict.fromkeys(pools))

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
