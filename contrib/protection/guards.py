"""What the guards of ASGI and of WSGI applications have in common: their arguments, read and checked in one place."""

from __future__ import annotations

import abc
from collections.abc import Callable
from typing import Generic, TypeVar

from ...drivers.kit import own_load
from ..metrics.protection import BulkheadCounts
from .checked import checked_count, checked_name, checked_seconds, checked_service
from .limits import Limit
from .load import OwnLoad
from .refusals import Refusal, no_place
from .stores import Store

__all__ = ["BulkheadBase", "RateLimitBase"]

App = TypeVar("App")
Places = TypeVar("Places")
Request = TypeVar("Request")


class BulkheadBase(abc.ABC, Generic[App, Places]):
    """A bulkhead but for how requests get into it and out of it."""

    def __init__(
        self,
        app: App,
        workers: int = 50,
        longest_wait: float = 0.1,
        *,
        service: str = "",
        compatible: bool = False,
        name: str = "default",
    ) -> None:
        """
        Args:
            app: the application.
            workers: places, in each process, and on each of its event loops.
            longest_wait: seconds; 0: none waits.
            service: the name under which callers know this service; "" for the one that the default registry registers.
            compatible: refuse with 429, as go-doudou does.
            name: the value of the label of its metrics.

        Raises:
            TypeError, ValueError: an argument cannot be used.
        """
        self.app = app
        checked_count("workers", workers)
        self._longest_wait = checked_seconds("longest_wait", longest_wait, zero=True)
        self._service, self._compatible = checked_service(service), compatible
        self._counts = BulkheadCounts(checked_name("name", name), workers)
        self._load = OwnLoad(self._counts, workers)
        own_load.add_source(self._load)
        self._places = self._make_places(workers)

    @abc.abstractmethod
    def _make_places(self, workers: int) -> Places:
        """So many places, which are made where they are needed."""

    def _refusal(self) -> Refusal:
        return no_place(self._service, self._longest_wait, self._compatible)


class RateLimitBase(abc.ABC, Generic[App, Request]):
    """A limit of a rate but for how requests are refused."""

    def __init__(
        self,
        app: App,
        rate: str,
        *,
        store: Store | None = None,
        key: Callable[[Request], str | None] | None = None,
        compatible: bool = False,
        name: str = "default",
    ) -> None:
        """
        Args:
            app: the application.
            rate: such as "50/s", "1000/h", "100/5m", "10/s burst 30"; without a burst, a whole period's at once.
            store: where they are counted: `RedisStore`, or `MemoryStore` for this process alone, which is the default.
            key: of a request; requests with one key share the rate, and those with None are not limited. By default
                the address of the client.
            compatible: count together with go-doudou's limiter in Redis, which has the key and nothing else for a name.
            name: limits of one name, rate and store count together; it is the value of the label of its metrics too.

        Raises:
            TypeError, ValueError: an argument cannot be used.
        """
        self.app = app
        self._limit = Limit(rate, store, self._client_address if key is None else key, name, compatible)

    @staticmethod
    @abc.abstractmethod
    def _client_address(request: Request) -> str:
        """The key of a request if nothing else is asked for."""
