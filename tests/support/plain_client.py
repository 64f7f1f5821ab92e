"""A client of the standard library's `http.client`, to show what is left to write for one more: this file."""

from __future__ import annotations

import http.client
import logging
from time import monotonic, sleep
from urllib.parse import SplitResult, urlsplit

from pydoudou import Balancer
from pydoudou.balancers.calls.call import Call
from pydoudou.balancers.calls.policy import CallPolicy
from pydoudou.balancers.calls.service import CalledService, ClientErrors
from pydoudou.balancers.calls.terms import TRANSLATED, Terms
from pydoudou.balancers.calls.urls import UnusableAddress, member_scheme
from pydoudou.balancers.memory.pick import Pick
from pydoudou.balancers.reporting import reporting
from pydoudou.drivers.members import Reached

__all__ = ["Answer", "PlainClient"]

Answer = tuple[int, dict[str, str], bytes]


class PlainClient:
    """GETs and POSTs ``http://orders/…``, with a connection of its own each time."""

    def __init__(self, balancer: Balancer, attempts: int = 3, deadline: float | None = None) -> None:
        self._service: CalledService[SplitResult] = CalledService(
            "orders",
            reporting(balancer, "orders"),
            CallPolicy(attempts, deadline),
            ClientErrors(_error(ConnectionError), _error(TimeoutError), _reached),
            urlsplit,
            logging.getLogger(__name__),
            lambda members: None,
        )

    def request(self, method: str, url: str, body: bytes = b"") -> Answer:
        service = self._service
        call = service.call(method, url, True, monotonic())
        if not service.ready:
            service.wait(monotonic())
        attempt = service.first(call, url, monotonic())
        while True:
            try:
                answer = self._attempt(call, attempt, method, url, body)
                if not isinstance(answer, Pick):
                    return answer
                attempt = answer
            except BaseException as error:
                following = service.after(call, attempt, error, monotonic())
                if following is None:
                    raise
                attempt = following

    def _attempt(self, call: Call, attempt: Pick, method: str, url: str, body: bytes) -> Answer | Pick:
        sleep(attempt.delay)
        scheme, asked = member_scheme("http", attempt.member), urlsplit(url)
        base = self._service.origins.of(attempt.member, scheme, self._service.view)
        connection = http.client.HTTPConnection(base.hostname or "", base.port, timeout=attempt.connect_limit)
        try:
            connection.connect()
            connection.sock.settimeout(attempt.answer_limit)
            connection.request(method, base.path + asked.path, body, {"Host": asked.netloc})
            response = connection.getresponse()
            header = response.headers.get
            following = self._service.answered(call, attempt, response.status, header, url, monotonic())
            if following is not None:
                return following
            terms = Terms(url, attempt.member, scheme, self._service.balancer.members)
            headers = {name.lower(): value for name, value in response.getheaders()}
            headers.update({name: terms.header(name, headers[name]) for name in TRANSLATED & headers.keys()})
            content = response.read()
            attempt.ended(monotonic(), True)
            return response.status, headers, content
        finally:
            connection.close()


def _error(kind: type[Exception]) -> type[Exception]:
    """An exception of the standard library that takes the request too."""

    class WithRequest(kind):  # type: ignore[misc, valid-type]
        def __init__(self, text: str, *, request: object) -> None:
            super().__init__(text)

    return WithRequest


def _reached(error: BaseException) -> Reached | None:
    if isinstance(error, (ConnectionRefusedError, UnusableAddress)):
        return Reached.UNCONNECTED
    if isinstance(error, TimeoutError):
        return Reached.TIMED_OUT
    return Reached.BROKEN if isinstance(error, (OSError, http.client.HTTPException)) else None
