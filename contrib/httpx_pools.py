"""The connections behind one `DiscoveryTransport`: a transport of the library, which is a connection pool, per member.

Why not one pool for all: for every request httpcore walks all connections of a pool and asks the kernel about every
idle one. With one idle connection to each of ten members an `AsyncClient` loses a quarter of its rate by that; with a
pool per member it loses none, and the connections to a member that left can be closed.

A pool is retired when the members of its service change and its own is no longer among them. It is closed once no
response is read from it.
"""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterable
from types import ModuleType
from typing import Any

from ..drivers.members import Member
from .httpx_internals import is_idle

__all__ = ["MemberPools"]

_Key = tuple[str, str, int]


class MemberPools:
    """The transports for one flavour of client, sync or async.

    Args:
        library: httpx or httpx2.
        given: a transport that all share, a function that makes one per member, or None for transports without options.
        asynchronous: the flavour.

    Attributes:
        retired: the transports of members that left; `surplus` takes those out that have nothing more to do.
    """

    def __init__(self, library: ModuleType, given: Any, asynchronous: bool) -> None:
        flavours = (library.BaseTransport, library.AsyncBaseTransport)
        if not (given is None or callable(given) or isinstance(given, flavours)):
            raise TypeError(f"transport is a {type(given).__name__}; accepted: a transport, or what makes one")
        if isinstance(given, type) and not issubclass(given, flavours):
            raise TypeError(
                f"transport is the class {given.__name__}, which is no transport of {library.__name__}; "
                f"accepted: {library.__name__}.HTTPTransport or AsyncHTTPTransport, a transport, or what makes one"
            )
        self._library, self._given, self._asynchronous = library, given, asynchronous
        self._flavour: type[Any] = flavours[asynchronous]
        self._context: ssl.SSLContext | None = None
        self._elsewhere: Any = None
        self._pools: dict[_Key, Any] = {}
        self.retired: list[Any] = []
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._pools) + len(self.retired)

    def elsewhere(self) -> Any:
        """The transport for requests that are not for a service. Raises `TypeError` for the wrong flavour."""
        if self._elsewhere is None:
            with self._lock:
                self._elsewhere = self._elsewhere or self._new()
        return self._elsewhere

    def of(self, host: str, member: Member) -> Any:
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

    def surplus(self) -> list[Any]:
        """The transports of members that left and have nothing more to do, for the caller to close."""
        with self._lock:
            idle = [pool for pool in self.retired if is_idle(pool)]
            self.retired = [pool for pool in self.retired if pool not in idle]
        return idle

    def all(self) -> list[Any]:
        """Every transport, for the caller to close; the next request makes new ones."""
        with self._lock:
            pools = [*self._pools.values(), *self.retired]
            if self._elsewhere is not None:
                pools.append(self._elsewhere)
            self._elsewhere, self._pools, self.retired = None, {}, []
        # One that was given as an instance stands for all members.
        return list(dict.fromkeys(pools))

    def _new(self) -> Any:
        library, name = self._library, self._library.__name__
        if self._given is None:
            # What costs in a transport is the TLS context, some 10 ms; all of them share one.
            self._context = self._context or library.create_ssl_context()
            made = library.AsyncHTTPTransport if self._asynchronous else library.HTTPTransport
            return made(verify=self._context)
        made = self._given() if callable(self._given) else self._given
        if isinstance(made, self._flavour):
            return made
        client, wanted = ("AsyncClient", "AsyncHTTPTransport") if self._asynchronous else ("Client", "HTTPTransport")
        raise TypeError(
            f"this DiscoveryTransport was given a {_name(made)}, which {name}.{client} cannot use: "
            f"give it the class {name}.{wanted}, a function that makes one, or nothing"
        )


def _name(made: object) -> str:
    """With the library that it is of: the two have classes of the same names."""
    return f"{type(made).__module__.partition('.')[0]}.{type(made).__name__}"
