"""Host names of members, resolved while packets are sent: go-doudou's addresses may be DNS names.

Sending never waits. A name that is not known yet is looked up in the background, and what was to be sent meanwhile
goes out then. A known name is looked up again when it is old, and its last addresses stay in use until the answer
comes. A name that cannot be resolved is an address that does not answer: its packets are dropped, and the probe of
the member fails.

Strangers can make up names, and a name service may take long to say that there are none. So only so many look-ups are
under way, a part of them kept for names that were resolved before; few new names wait, the latest first; and what is
remembered of resolved names gives way to none of the others.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Awaitable, Callable
from functools import partial

import anyio
import attrs

from ..kit.log_fields import fields
from ..kit.log_limit import RateLimitedLog
from .lookups import resolve_all
from .protocol.addresses import ip_of

__all__ = ["Resolver"]

logger = logging.getLogger(__name__)

REFRESH_AFTER = 30.0
RETRY_AFTER = 5.0
MAX_NAMES = 4096
MAX_UNRESOLVED = 256
"""Names without an address that are remembered, those that wait for a look-up included."""
MAX_WAITING = 16
MAX_LOOKUPS = 8
MAX_NEW_LOOKUPS = 6
"""Look-ups that may be under way in all, and of names that have no address yet."""

Resolve = Callable[[str], Awaitable[list[str]]]


@attrs.define(eq=False, repr=False)
class _Entry:
    host: str
    addresses: tuple[str, ...] = ()
    checked_at: float = float("-inf")
    looking: bool = False
    queued: bool = False
    waiting: list[Callable[[], None]] = attrs.field(factory=list)
    ended: anyio.Event | None = None


class Resolver:
    """A cache of names.

    Args:
        start: runs a coroutine function in the background.
        clock: seconds.
        resolve: see `resolve_all`.
        log: takes what goes wrong.
    """

    def __init__(
        self,
        start: Callable[[Callable[..., object], _Entry], None],
        clock: Callable[[], float],
        resolve: Resolve = resolve_all,
        log: logging.Logger = logger,
    ) -> None:
        self._start = start
        self._clock = clock
        self._resolve = resolve
        self._log = RateLimitedLog(log, clock)
        self._resolved: dict[str, _Entry] = {}
        self._unresolved: dict[str, _Entry] = {}
        self._queue: list[_Entry] = []
        self._under_way = 0
        self._new_under_way = 0

    def __len__(self) -> int:
        """How many names are remembered."""
        return len(self._resolved) + len(self._unresolved)

    def addresses(self, host: str, then: Callable[[], None]) -> tuple[str, ...]:
        """The known addresses of `host`. If there are none yet, `then` is called once there are."""
        if ip_of(host) is not None:
            return (host,)
        entry = self._asked(host)
        if not entry.addresses and (entry.looking or entry.queued) and len(entry.waiting) < MAX_WAITING:
            entry.waiting.append(then)
        return entry.addresses

    async def resolve(self, host: str) -> tuple[str, ...]:
        """The addresses of `host`; waits for them if there are none yet.

        Raises:
            OSError: it cannot be resolved.
        """
        if ip_of(host) is not None:
            return (host,)
        entry = self._asked(host)
        if not entry.addresses and (entry.looking or entry.queued):
            entry.ended = entry.ended or anyio.Event()
            await entry.ended.wait()
        if not entry.addresses:
            raise OSError(f"the name {host!r} cannot be resolved")
        return entry.addresses

    def known(self, host: str) -> tuple[str, ...]:
        """The addresses of `host` as far as they are known; nothing is looked up."""
        entry = self._resolved.get(host)
        return entry.addresses if entry is not None else ()

    # -- what is remembered --------------------------------------------------------------------------------------------

    def _asked(self, host: str) -> _Entry:
        """What is known of a name; a look-up is asked for if it is time."""
        entry = self._resolved.get(host) or self._unresolved.get(host)
        if entry is None:
            entry = self._unresolved[host] = _Entry(host)
            self._keep(self._unresolved, MAX_UNRESOLVED)
        age = self._clock() - entry.checked_at
        if not (entry.looking or entry.queued) and age > (REFRESH_AFTER if entry.addresses else RETRY_AFTER):
            entry.queued = True
            self._queue.append(entry)
            self._go_on()
        return entry

    def _note(self, entry: _Entry, addresses: list[str]) -> None:
        entry.addresses = tuple(sorted(addresses, key=_is_ipv6))
        if self._unresolved.get(entry.host) is entry:
            del self._unresolved[entry.host]
        self._resolved.pop(entry.host, None)
        self._resolved[entry.host] = entry
        self._keep(self._resolved, MAX_NAMES)

    def _keep(self, entries: dict[str, _Entry], most: int) -> None:
        """Forget the oldest, except those that are being looked up."""
        surplus = len(entries) - most
        if surplus <= 0:
            return
        idle = (entry for entry in entries.values() if not entry.looking)
        for entry in list(itertools.islice(idle, surplus)):
            del entries[entry.host]
            if entry.queued:
                self._queue.remove(entry)
                entry.queued = False
                _end(entry)

    # -- look-ups ------------------------------------------------------------------------------------------------------

    def _go_on(self) -> None:
        """Start what may be started: known names first, then the latest of the new ones."""
        while self._under_way < MAX_LOOKUPS and (entry := self._next()) is not None:
            self._queue.remove(entry)
            entry.queued, entry.looking = False, True
            self._under_way += 1
            self._new_under_way += not entry.addresses
            self._start(self._look_up, entry)

    def _next(self) -> _Entry | None:
        known = next((entry for entry in self._queue if entry.addresses), None)
        if known is not None or self._new_under_way >= MAX_NEW_LOOKUPS:
            return known
        return self._queue[-1] if self._queue else None

    async def _look_up(self, entry: _Entry) -> None:
        new = not entry.addresses
        try:
            self._note(entry, await self._resolve(entry.host))
        except (OSError, UnicodeError) as error:
            self._log.warning(
                "unresolved",
                "cannot resolve the member address %r: %s",
                entry.host,
                error,
                extra=partial(fields, backend="memberlist", source=entry.host, reason=error),
            )
        finally:
            entry.looking = False
            entry.checked_at = self._clock()
            self._under_way -= 1
            self._new_under_way -= new
        _end(entry)
        self._go_on()


def _end(entry: _Entry) -> None:
    """A look-up is over: what waits for it goes on, if there is an address."""
    waiting, entry.waiting = entry.waiting, []
    if entry.ended is not None:
        entry.ended.set()
        entry.ended = None
    if entry.addresses:
        for send in waiting:
            send()


def _is_ipv6(address: str) -> bool:
    """IPv4 comes first, as in Go: a node there that advertises a name listens on IPv4 by default."""
    return ":" in address
