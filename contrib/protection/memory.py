"""Rate limits that are counted in this process alone. Needs the extra ``pydoudou[limits]``."""

from __future__ import annotations

try:
    import throttled
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "pydoudou.contrib.protection.memory needs throttled-py: pip install 'pydoudou[limits]'"
    ) from error

from .checked import checked_count
from .rate import Rate
from .stores import WhenDown

__all__ = ["MemoryStore"]


class MemoryStore:
    """Counts in memory, by GCRA.

    Args:
        most_keys: that are remembered at once; those that were not asked about for longest are forgotten first.
    """

    when_down: WhenDown = "open"

    def __init__(self, most_keys: int = 10_000) -> None:
        self._counted = throttled.MemoryStore(options={"MAX_SIZE": checked_count("most_keys", most_keys)})

    def bucket(self, name: str, rate: Rate, *, compatible: bool = False) -> _MemoryBucket:
        """See `Store`."""
        if compatible:
            raise ValueError("compatible is True; accepted with a RedisStore alone, where go-doudou counts too")
        return _MemoryBucket(self._counted, name, rate)


class _MemoryBucket:
    def __init__(self, store: throttled.MemoryStore, name: str, rate: Rate) -> None:
        self._prefix = f"{rate} "
        quota = throttled.per_duration(rate.period, rate.requests, rate.burst)
        self._limit = throttled.Throttled(using="gcra", quota=quota, store=store, key_prefix=name)

    def take(self, key: str) -> float | None:
        """See `Bucket`."""
        result = self._limit.limit(self._prefix + key)
        return result.state.retry_after if result.limited else None

    async def take_async(self, key: str) -> float | None:
        """See `Bucket`; it waits for nothing."""
        return self.take(key)

    async def close_async(self) -> None:
        """See `Bucket`; there is nothing to close."""
