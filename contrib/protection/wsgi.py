"""Places and rates for WSGI applications, on threads and on gevent: Flask, Django, or any other.

::

    from pydoudou.contrib.protection.wsgi import Bulkhead, RateLimit

    app = Flask(__name__)
    app.wsgi_app = Bulkhead(RateLimit(app.wsgi_app, "50/s"), workers=50, longest_wait=0.1)

What is outermost is asked first.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any

from ...drivers.kit import own_load
from ..metrics.protection import BulkheadCounts
from ..metrics.served import ClosedBody, StartResponse, WsgiApp
from .checked import checked_count, checked_name, checked_seconds, checked_service
from .limits import Limit, shared_by
from .load import OwnLoad
from .once import PerProcess
from .refusals import Refusal, no_place
from .stores import Store

__all__ = ["Bulkhead", "RateLimit", "client_address"]

Environ = dict[str, Any]


class Bulkhead:
    """Lets so many requests at a time into `app`; the others wait, and are refused if that takes too long.

    A refused request is answered with 503, ``Retry-After``, and ``X-Doudou-Not-Processed`` with the name of the
    service: our clients then send it to another member, whatever its method. A place is held until the server closes
    the answer, or the application fails. A request that waits occupies a thread of the server, so `workers` is less
    than it has threads.

    Args:
        workers: places, in each process.
        longest_wait: seconds; 0: none waits.
        service: the name under which callers know this service; "" for the one that the default registry registers.
        compatible: refuse with 429, as go-doudou does.
        name: the value of the label of its metrics.

    Raises:
        TypeError, ValueError: an argument cannot be used.
    """

    def __init__(
        self,
        app: WsgiApp,
        workers: int = 50,
        longest_wait: float = 0.1,
        *,
        service: str = "",
        compatible: bool = False,
        name: str = "default",
    ) -> None:
        self.app = app
        checked_count("workers", workers)
        self._longest_wait = checked_seconds("longest_wait", longest_wait, zero=True)
        self._service, self._compatible = checked_service(service), compatible
        self._counts = BulkheadCounts(checked_name("name", name), workers)
        self._load = OwnLoad(self._counts, workers)
        own_load.add_source(self._load)
        self._places = PerProcess(lambda: threading.Semaphore(workers))

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """See WSGI."""
        places = self._places.get()
        if not self._enter(places):
            return _refuse(no_place(self._service, self._longest_wait, self._compatible), start_response)
        held = True

        def leave() -> None:
            nonlocal held
            if held:
                held = False
                places.release()
                self._counts.leave()

        try:
            body = self.app(environ, start_response)
        except BaseException:
            leave()
            raise
        return ClosedBody(body, leave)

    def _enter(self, places: threading.Semaphore) -> bool:
        if places.acquire(blocking=False):
            self._counts.enter(waited=False)
            return True
        self._counts.wait()
        if self._longest_wait and places.acquire(timeout=self._longest_wait):
            self._counts.enter(waited=True)
            return True
        self._counts.refuse(waited=True)
        return False


class RateLimit:
    """Lets requests into `app` as often as `rate` says, for each key; the others get 429 with ``Retry-After``.

    Args:
        rate: such as "50/s", "1000/h", "100/5m", "10/s burst 30"; without a burst, a whole period's at once.
        store: where they are counted: `RedisStore`, or `MemoryStore` for this process alone, which is the default.
        key: of a request, from its environment; requests with one key share the rate, and those with None are not
            limited.
        compatible: count together with go-doudou's limiter in Redis, which has the key and nothing else for a name.
        name: limits of one name, rate and store count together; it is the value of the label of its metrics too.

    Raises:
        TypeError, ValueError: an argument cannot be used.
    """

    def __init__(
        self,
        app: WsgiApp,
        rate: str,
        *,
        store: Store | None = None,
        key: Callable[[Environ], str | None] | None = None,
        compatible: bool = False,
        name: str = "default",
    ) -> None:
        self.app = app
        self._limit = Limit(rate, store, client_address if key is None else key, name, compatible)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """See WSGI."""
        refusal = self._limit.refusal(environ)
        return self.app(environ, start_response) if refusal is None else _refuse(refusal, start_response)


def client_address(environ: Environ) -> str:
    """The address that a request came from; with IPv6, the network of 64 bits that a client has for itself."""
    return shared_by(environ.get("REMOTE_ADDR", ""))


def _refuse(refusal: Refusal, start_response: StartResponse) -> Iterable[bytes]:
    start_response(f"{refusal.status} {refusal.reason}", refusal.headers)
    return [refusal.body]
