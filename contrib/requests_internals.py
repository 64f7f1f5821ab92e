"""What is not public in requests and is used nevertheless: only here, and checked when this module is loaded.

Where a release lacks something, the slow way is taken instead. A test fails then, so that it is noticed.

- How a dictionary of headers keeps them (`CaseInsensitiveDict._store`). Copying one through its public methods takes
  seven times as long, which is more than all the rest that is done for a balanced call.
- Why a request failed: requests has one exception for a refused connection and for a broken one, and one for a silent
  TLS handshake and for a silent answer. The causes are looked at, and where in the standard library they came from.
"""

from __future__ import annotations

import ssl
from collections import OrderedDict
from collections.abc import Iterator

from requests.structures import CaseInsensitiveDict
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

__all__ = ["HEADERS_HAVE_A_STORE", "never_connected", "with_host"]


def with_host(headers: CaseInsensitiveDict[str], host: str) -> CaseInsensitiveDict[str]:
    """A copy of `headers` that begins with Host, which is `host` unless it was there."""
    return _by_store(headers, host) if HEADERS_HAVE_A_STORE else _by_methods(headers, host)


def never_connected(error: Exception) -> bool:
    """Whether an exception of requests means that no connection was made, and so nothing was sent."""
    return any(
        isinstance(cause, (NewConnectionError, ConnectTimeoutError, ssl.SSLCertVerificationError))
        or _while_shaking_hands(cause)
        for cause in _causes(error)
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The exception, what it was raised from, and what it was made of: urllib3 hands causes on in all of these ways."""
    seen: list[BaseException] = []
    left: list[object] = [error]
    while left and len(seen) < 16:
        cause = left.pop()
        if isinstance(cause, BaseException) and cause not in seen:
            seen.append(cause)
            yield cause
            left += [*cause.args, getattr(cause, "reason", None), cause.__cause__]


def _while_shaking_hands(error: BaseException) -> bool:
    """Whether it came out of a TLS handshake, before which nothing is sent."""
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_name == "do_handshake":
            return True
        trace = trace.tb_next
    return False


def _by_store(headers: CaseInsensitiveDict[str], host: str) -> CaseInsensitiveDict[str]:
    store = OrderedDict(host=("Host", host))
    store.update(headers._store)  # type: ignore[attr-defined]
    made: CaseInsensitiveDict[str] = CaseInsensitiveDict()
    made._store = store  # type: ignore[attr-defined]
    return made


def _by_methods(headers: CaseInsensitiveDict[str], host: str) -> CaseInsensitiveDict[str]:
    made: CaseInsensitiveDict[str] = CaseInsensitiveDict({"Host": host})
    made.update(headers)
    return made


def _headers_have_a_store() -> bool:
    headers: CaseInsensitiveDict[str] = CaseInsensitiveDict({"Accept": "a", "HOST": "mine"})
    try:
        made = _by_store(headers, "orders")
        same = list(made.items()) == [("HOST", "mine"), ("Accept", "a")] == list(_by_methods(headers, "orders").items())
        return same and list(vars(headers)) == ["_store"] and list(headers) == ["Accept", "HOST"]
    except (AttributeError, TypeError, ValueError):
        return False


HEADERS_HAVE_A_STORE = _headers_have_a_store()
