"""One limit of a rate, for ASGI and for WSGI: what becomes of a request."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Generic, TypeVar

from ..metrics.protection import LimitCounts
from .checked import checked_name
from .rate import Rate
from .refusals import Refusal, no_store, over_the_limit
from .stores import Failure, Store, StoreFailed

__all__ = ["Limit", "shared_by"]

_Request = TypeVar("_Request")
_LONGEST_KEY = 200


class Limit(Generic[_Request]):
    """Whether requests pass.

    Args:
        key: of a request: those with one key share the rate; None: it is not limited.

    Raises:
        TypeError, ValueError: an argument cannot be used.
    """

    def __init__(
        self, rate: str, store: Store | None, key: Callable[[_Request], str | None], name: str, compatible: bool
    ) -> None:
        if not callable(key):
            raise TypeError(f"key is a {type(key).__name__}; accepted: a function of the request that returns text")
        if store is not None and not callable(getattr(store, "bucket", None)):
            raise TypeError(f"store is a {type(store).__name__}; accepted: a RedisStore or a MemoryStore, or None")
        self._key, self._compatible = key, compatible
        self._store = _in_memory() if store is None else store
        self._bucket = self._store.bucket(checked_name("name", name), Rate.parsed(rate), compatible=compatible)
        self._counts = LimitCounts(name)

    def refusal(self, request: _Request) -> Refusal | None:
        """What to answer it with; None if it passes."""
        key = self._key_of(request)
        if key is None:
            return None
        try:
            seconds = self._bucket.take(key)
        except StoreFailed as error:
            return self._without_store(error.failure)
        return self._decided(seconds)

    async def refusal_async(self, request: _Request) -> Refusal | None:
        """The same on an event loop."""
        key = self._key_of(request)
        if key is None:
            return None
        try:
            seconds = await self._bucket.take_async(key)
        except StoreFailed as error:
            return self._without_store(error.failure)
        return self._decided(seconds)

    async def close_async(self) -> None:
        """The server ends, and with it what was opened on its event loop."""
        await self._bucket.close_async()

    def _key_of(self, request: _Request) -> str | None:
        key = self._key(request)
        if key is None:
            return None
        if not isinstance(key, str):
            raise TypeError(f"the key of a request is a {type(key).__name__}; accepted: text, or None for no limit")
        if self._compatible or (len(key) <= _LONGEST_KEY and key.isascii()):
            return key
        # What callers send may be the key: whatever it is, it has to be held, and written.
        return hashlib.sha256(key.encode("utf-8", "backslashreplace")).hexdigest()

    def _decided(self, seconds: float | None) -> Refusal | None:
        if seconds is None:
            self._counts.decide("passed")
            return None
        self._counts.decide("refused")
        return over_the_limit(seconds)

    def _without_store(self, failure: Failure) -> Refusal | None:
        if failure is not Failure.NOT_ASKED:
            self._counts.fail(failure)
        self._counts.decide(self._store.when_down)
        return no_store() if self._store.when_down == "closed" else None


def shared_by(address: str) -> str:
    """The key of a client's address: itself, or its network of 64 bits with IPv6, in which one client has all."""
    if ":" not in address:
        return address
    import ipaddress

    try:
        network = ipaddress.ip_network((address.partition("%")[0], 64), strict=False)
    except ValueError:
        return address
    return str(network)


def _in_memory() -> Store:
    from .memory import MemoryStore

    return MemoryStore()
