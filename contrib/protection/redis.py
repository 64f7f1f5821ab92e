"""Rate limits that are counted in Redis, for all processes together. Needs the extra ``pydoudou[redis]``."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from urllib.parse import urlsplit

import anyio

try:
    import redis
    import throttled
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "pydoudou.contrib.protection.redis needs redis and throttled-py: pip install 'pydoudou[redis]'"
    ) from error

from ...drivers.kit.log_fields import fields
from ...drivers.kit.log_limit import RateLimitedLog
from .checked import checked_seconds
from .once import PerLoop, PerProcess
from .patience import Patience
from .rate import Rate
from .redis_limits import CONNECTIONS, Answer, AsyncRedis, SyncRedis, connection_options
from .stores import Failure, StoreFailed, WhenDown
from .turns import Turns

__all__ = ["RedisStore"]

logger = logging.getLogger(__name__)

_SCHEMES = ("redis", "rediss", "unix")
_TURN = 10
"""Times as long as for Redis itself, for those that come at once."""


class RedisStore:
    """Counts in Redis 5 or newer, by GCRA on the server's clock.

    While Redis is down, answers nonsense, or takes longer than `within`, requests pass or are refused as `when_down`
    says. After three failures in a row it is asked once a second.

    Args:
        url: ``redis://[user:password@]host[:port][/database]``, ``rediss://…`` with TLS, or ``unix:///path``.
        within: seconds that one request waits for Redis.
        when_down: "open", and requests pass; or "closed", and they are refused.

    Attributes:
        turns: who may ask.

    Raises:
        TypeError, ValueError: an argument cannot be used.
    """

    def __init__(self, url: str, *, within: float = 0.05, when_down: WhenDown = "open") -> None:
        if when_down not in ("open", "closed"):
            raise ValueError(f'when_down is {when_down!r}; accepted: "open" and "closed"')
        self.when_down: WhenDown = when_down
        self._where = _address(url)
        self._within = checked_seconds("within", within, zero=False)
        self._patience = PerProcess(Patience)
        self._log = RateLimitedLog(logger, time.monotonic)
        self._sync = PerProcess(lambda: SyncRedis(url, connection_options(self._within, asynchronous=False)))
        self._async = PerLoop(lambda: AsyncRedis(url, connection_options(self._within, asynchronous=True)))
        self.turns = Turns(CONNECTIONS, _TURN * self._within)

    def bucket(self, name: str, rate: Rate, *, compatible: bool = False) -> _RedisBucket:
        """See `Store`."""

        def sync_limit() -> Callable[[str], Answer]:
            connected = self._sync.get()
            return connected.compatible_limit(rate) if compatible else connected.limit(name, rate)

        def async_limit() -> Callable[[str], Awaitable[Answer]]:
            connected = self._async.get()
            return connected.compatible_limit(rate) if compatible else connected.limit(name, rate)

        return _RedisBucket(self, "" if compatible else f"{rate} ", rate.full_after, sync_limit, async_limit)

    @contextlib.contextmanager
    def asking(self) -> Iterator[float]:
        """One question to Redis, which has to be answered within so many seconds.

        Raises:
            StoreFailed: it was not, or is not asked at present.
        """
        patience = self._patience.get()
        if not patience.may_ask(time.monotonic()):
            raise StoreFailed(Failure.NOT_ASKED)
        try:
            yield self._within
        except Exception as error:
            # Anything: what comes from a socket on which somebody else answers is not what the client was tried with.
            failure = _failure(error)
            self._say(patience, failure, error)
            patience.failed(time.monotonic())
            raise StoreFailed(failure) from error
        except BaseException:
            patience.given_up()
            raise
        if patience.over:
            extra = fields(source=self._where)
            logger.info("Redis at %s answers again: what it counts is limited", self._where, extra=extra)
        patience.answered()

    def _say(self, patience: Patience, failure: Failure, error: Exception) -> None:
        if not patience.failing:
            reason = (
                f"no answer within {self._within:g} s" if failure is Failure.SLOW else str(error.__cause__ or error)
            )
            consequence = "pass unlimited" if self.when_down == "open" else "are refused"
            self._log.warning(
                "down",
                "Redis at %s does not tell whether a request may pass (%s: %.200s): requests %s until it does",
                self._where,
                failure.value,
                reason,
                consequence,
                extra=partial(fields, source=self._where, reason=f"{failure.value}: {reason:.200s}"),
            )

    async def close_async(self) -> None:
        """Close the connections of the event loop that runs; they are opened anew if they are needed."""
        connected = self._async.made() if _in_asyncio() else None
        if connected is not None:
            await connected.close()


class _RedisBucket:
    def __init__(
        self,
        store: RedisStore,
        prefix: str,
        longest: float,
        sync_limit: Callable[[], Callable[[str], Answer]],
        async_limit: Callable[[], Callable[[str], Awaitable[Answer]]],
    ) -> None:
        self._store, self._prefix, self._longest = store, prefix, longest
        self._limit = PerProcess(sync_limit)
        self._async_limit = PerLoop(async_limit)

    def take(self, key: str) -> float | None:
        """See `Bucket`."""
        with self._store.turns.turn(), self._store.asking():
            return _checked(self._limit.get()(self._prefix + key), self._longest)

    async def take_async(self, key: str) -> float | None:
        """See `Bucket`. The client has no asynchronous side but that for asyncio: elsewhere a thread waits."""
        if not _in_asyncio():
            return await anyio.to_thread.run_sync(self.take, key, abandon_on_cancel=True)
        async with self._store.turns.turn_async():
            with self._store.asking() as within:
                limit = self._async_limit.get()
                with anyio.fail_after(within):
                    answer = await limit(self._prefix + key)
                return _checked(answer, self._longest)

    async def close_async(self) -> None:
        """See `Bucket`."""
        await self._store.close_async()


def _in_asyncio() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _checked(answer: Answer, longest: float) -> float | None:
    """What a bucket says, if the answer makes sense.

    Raises:
        ValueError: it does not.
    """
    limited, said = answer
    if not limited:
        return None
    if not isinstance(said, str | bytes | float | int):
        raise ValueError(f"{said!r} is no number of seconds")
    seconds = float(said)
    if not seconds >= 0:
        raise ValueError(f"{seconds} seconds")
    return min(seconds, longest)


def _failure(error: Exception) -> Failure:
    cause = error.__cause__ if isinstance(error, throttled.exceptions.StoreUnavailableError) else error
    if isinstance(cause, redis.TimeoutError | TimeoutError):
        return Failure.SLOW
    return Failure.DOWN if isinstance(cause, redis.ConnectionError | OSError) else Failure.NONSENSE


def _address(url: str) -> str:
    """Where Redis is, without the credentials."""
    accepted = "accepted: redis://[user:password@]host[:port][/database], rediss://… and unix:///path"
    if not isinstance(url, str):
        raise TypeError(f"url is a {type(url).__name__}; {accepted}")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ValueError(f"url cannot be read; {accepted}") from None
    if parts.scheme not in _SCHEMES or not (parts.path if parts.scheme == "unix" else host):
        raise ValueError(f"url is of {parts.scheme}://{host or ''}; {accepted}")
    return parts.path if parts.scheme == "unix" else f"{host}:{port or 6379}"
