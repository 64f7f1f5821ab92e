"""Host names of members, resolved while packets are sent: go-doudou's addresses may be DNS names.

Sending never waits. A name that is not known yet is looked up in the background, and what was to be sent meanwhile
goes out then. A known name is looked up again when it is old, and its last addresses stay in use until the answer
comes. A name that cannot be resolved is an address that does not answer: its packets are dropped, and the probe of
the member fails.
"""

from __future__ import annotations

import ipaddress
import logging
import socket
from collections.abc import Callable

import anyio
import attrs

from ..kit.log_limit import RateLimitedLog

__all__ = ["Resolver", "resolve_all"]

logger = logging.getLogger(__name__)

REFRESH_AFTER = 30.0
RETRY_AFTER = 5.0
MAX_NAMES = 4096
MAX_WAITING = 16


async def resolve_all(host: str) -> list[str]:
    """Every address of `host`, IP literals included.

    Raises:
        OSError: the name cannot be resolved.
    """
    found = await anyio.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))


@attrs.define
class _Entry:
    addresses: tuple[str, ...]
    checked_at: float
    looking: bool = False
    waiting: list[Callable[[], None]] = attrs.field(factory=list)


class Resolver:
    """A cache of names. `start` runs a coroutine function in the background; `log` takes what goes wrong."""

    def __init__(
        self,
        start: Callable[[Callable[..., object], str], None],
        clock: Callable[[], float],
        log: logging.Logger = logger,
    ) -> None:
        self._start = start
        self._clock = clock
        self._log = RateLimitedLog(log, clock)
        self._names: dict[str, _Entry] = {}

    def addresses(self, host: str, then: Callable[[], None]) -> tuple[str, ...]:
        """The known addresses of `host`. If there are none yet, `then` is called once there are."""
        entry = self._names.get(host)
        if entry is None:
            if len(self._names) >= MAX_NAMES:
                self._names.clear()
            if _is_literal(host):
                self._names[host] = _Entry((host,), float("inf"))
                return (host,)
            entry = self._names[host] = _Entry((), float("-inf"))
        age = self._clock() - entry.checked_at
        if not entry.looking and age > (REFRESH_AFTER if entry.addresses else RETRY_AFTER):
            entry.looking = True
            self._start(self._look_up, host)
        if not entry.addresses and entry.looking and len(entry.waiting) < MAX_WAITING:
            entry.waiting.append(then)
        return entry.addresses

    def __len__(self) -> int:
        """How many names are remembered."""
        return len(self._names)

    def known(self, host: str) -> tuple[str, ...]:
        """The addresses of `host` as far as they are known; nothing is looked up."""
        entry = self._names.get(host)
        return entry.addresses if entry is not None else ()

    async def _look_up(self, host: str) -> None:
        entry = self._names.get(host)
        if entry is None:
            return
        try:
            entry.addresses = tuple(sorted(await resolve_all(host), key=_is_ipv6))
        except (OSError, UnicodeError) as error:
            self._log.warning("unresolved", "cannot resolve the member address %r: %s", host, error)
        finally:
            entry.looking = False
            entry.checked_at = self._clock()
        waiting, entry.waiting = entry.waiting, []
        if entry.addresses:
            for send in waiting:
                send()


def _is_ipv6(address: str) -> bool:
    """IPv4 comes first, as in Go: a node there that advertises a name listens on IPv4 by default."""
    return ":" in address


def _is_literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
