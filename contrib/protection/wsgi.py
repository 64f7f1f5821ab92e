"""Places and rates for WSGI applications, on threads and on gevent: Flask, Django, or any other.

::

    from pydoudou.contrib.protection.wsgi import Bulkhead, RateLimit

    app = Flask(__name__)
    app.wsgi_app = Bulkhead(RateLimit(app.wsgi_app, "50/s"), workers=50, longest_wait=0.1)

What is outermost is asked first.
"""

from __future__ import annotations

import functools
import queue
from collections.abc import Iterable
from time import perf_counter

from ..wsgi_answers import Answer, AnsweringLayer, Environ, StartResponse, WsgiApp
from .guards import BulkheadBase, RateLimitBase
from .limits import shared_by
from .once import PerProcess
from .places import ThreadPlaces, thread_places
from .refusals import Refusal

__all__ = ["Bulkhead", "RateLimit", "client_address"]


class Bulkhead(AnsweringLayer, BulkheadBase[WsgiApp, PerProcess[ThreadPlaces]]):
    """Lets so many requests at a time into `app`; the others wait, and are refused if that takes too long.

    A refused request is answered with 503, ``Retry-After``, and ``X-Doudou-Not-Processed`` with the name of the
    service: our clients then send it to another member, whatever its method. A place is held until the server closes
    the answer, or the application fails. A request that waits occupies a thread of the server, so `workers` is less
    than it has threads.
    """

    def _make_places(self, workers: int) -> PerProcess[ThreadPlaces]:
        return PerProcess(functools.partial(thread_places, workers, self._counts))

    def inside(self, environ: Environ, start_response: StartResponse, answer: Answer) -> Iterable[bytes]:
        """For a layer of ours directly around this one; see `AnsweringLayer`."""
        places = self._places.get()
        try:
            place = places.get_nowait()
        except queue.Empty:
            if not self._wait(places, answer):
                return _refuse(self._refusal(), start_response)
        else:
            place.enter(answer.began)
            answer.place = place
        return self.app(environ, start_response)

    def _wait(self, places: ThreadPlaces, answer: Answer) -> bool:
        """Whether there was a place in time; it is the answer's."""
        self._counts.wait()
        if self._longest_wait:
            try:
                place = places.get(timeout=self._longest_wait)
            except queue.Empty:
                pass
            else:
                self._counts.wait_no_more()
                place.enter(perf_counter())
                answer.place = place
                return True
        self._counts.refuse(waited=True)
        return False


class RateLimit(RateLimitBase[WsgiApp, Environ]):
    """Lets requests into `app` as often as `rate` says, for each key; the others get 429 with ``Retry-After``.

    The key of a request is made from its environment.
    """

    @staticmethod
    def _client_address(request: Environ) -> str:
        return client_address(request)

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
