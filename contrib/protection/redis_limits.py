"""One decision in Redis, by Redis' own clock, for threads and for asyncio.

Limits of our own are those of throttled-py. Those that are shared with go-doudou are counted in a script of ours, which
leaves under go-doudou's key what go-doudou's own script leaves there: when the bucket is full again, in seconds since
2017.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, cast

import redis.asyncio
import throttled
import throttled.asyncio
from redis.backoff import NoBackoff
from redis.retry import Retry

from .rate import Rate

__all__ = ["CONNECTIONS", "Answer", "AsyncRedis", "SyncRedis", "connection_options"]

Answer = tuple[object, object]
"""Whether a request may not pass, and the seconds after which it may; as Redis says, which need not make sense."""

_COMPATIBLE = """
local burst, requests, seconds = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local time = redis.call('TIME')
local now = time[1] - 1483228800 + time[2] / 1000000
local full_at = math.max(tonumber(redis.call('GET', KEYS[1]) or now), now) + seconds / requests
local missing = full_at - seconds / requests * burst - now
if missing > 0.000001 then
  return {1, tostring(missing)}
end
redis.call('SET', KEYS[1], string.format('%.17g', full_at), 'EX', math.ceil(full_at - now))
return {0, '0'}
"""
"""A microsecond is what Redis' clock can tell, and more than what is lost in adding up."""
_GO_PREFIX = "go-doudou:rate:"
CONNECTIONS = 8
"""At most, in a process: Redis does one command after another anyway."""


def connection_options(within: float, asynchronous: bool) -> dict[str, Any]:
    """How throttled-py is to connect: every wait is over after `within` seconds, and nothing is tried again."""
    return {
        "CONNECTION_POOL_CLASS": f"redis.{'asyncio.' if asynchronous else ''}BlockingConnectionPool",
        "CONNECTION_POOL_KWARGS": {
            "max_connections": CONNECTIONS,
            "timeout": within,
            "socket_timeout": within,
            "socket_connect_timeout": within,
            "retry": Retry(NoBackoff(), 0),
        },
        "REUSE_CONNECTION": False,  # throttled-py's pools are found by their URL, whatever their timeouts
    }


class SyncRedis(throttled.RedisStore):
    """Redis, for threads."""

    def limit(self, name: str, rate: Rate) -> Callable[[str], Answer]:
        """What counts a request of a key."""
        limit = throttled.Throttled(using="gcra", quota=_quota(rate), store=self, key_prefix=f"pydoudou:{name}")

        def take(key: str) -> Answer:
            result = limit.limit(key)
            return result.limited, result.state.retry_after

        return take

    def compatible_limit(self, rate: Rate) -> Callable[[str], Answer]:
        """The same, together with go-doudou."""
        script = self._backend.get_client().register_script(_COMPATIBLE)

        def take(key: str) -> Answer:
            limited, retry_after = script([_GO_PREFIX + key], [rate.burst, rate.requests, rate.seconds])
            return limited, retry_after

        return take


class AsyncRedis(throttled.asyncio.RedisStore):
    """Redis, for one event loop of asyncio."""

    def limit(self, name: str, rate: Rate) -> Callable[[str], Awaitable[Answer]]:
        """What counts a request of a key."""
        limit = throttled.asyncio.Throttled(using="gcra", quota=_quota(rate), store=self, key_prefix=f"pydoudou:{name}")

        async def take(key: str) -> Answer:
            result = await limit.limit(key)
            return result.limited, result.state.retry_after

        return take

    def compatible_limit(self, rate: Rate) -> Callable[[str], Awaitable[Answer]]:
        """The same, together with go-doudou."""
        script = self._backend.get_client().register_script(_COMPATIBLE)

        async def take(key: str) -> Answer:
            limited, retry_after = await script([_GO_PREFIX + key], [rate.burst, rate.requests, rate.seconds])
            return limited, retry_after

        return take

    async def close(self) -> None:
        """Close the connections."""
        await cast("redis.asyncio.Redis", self._backend.get_client()).connection_pool.disconnect()


def _quota(rate: Rate) -> throttled.Quota:
    return throttled.per_duration(rate.period, rate.requests, rate.burst)
