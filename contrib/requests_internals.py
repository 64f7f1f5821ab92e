"""What is not public in requests and is used nevertheless: only here, and checked when this module is loaded.

Where a release lacks something, the slow way is taken instead. A test fails then, so that it is noticed.

- How a dictionary of headers keeps them (`CaseInsensitiveDict._store`). Copying one through its public methods takes
  seven times as long, which is more than all the rest that is done for a balanced call.
"""

from __future__ import annotations

from requests.structures import CaseInsensitiveDict

__all__ = ["HEADERS_HAVE_A_STORE", "outgoing_headers"]

_PROXY = "proxy-authorization"
"""requests puts it there when it follows a redirect and the environment names a proxy with a password."""


def outgoing_headers(headers: CaseInsensitiveDict[str], host: str) -> CaseInsensitiveDict[str]:
    """A copy of `headers` that begins with Host, which is `host` unless it was there, and has nothing for a proxy."""
    return _by_store(headers, host) if HEADERS_HAVE_A_STORE else _by_methods(headers, host)


def _by_store(headers: CaseInsensitiveDict[str], host: str) -> CaseInsensitiveDict[str]:
    store = {"host": ("Host", host), **headers._store}  # type: ignore[attr-defined]
    store.pop(_PROXY, None)
    made: CaseInsensitiveDict[str] = object.__new__(CaseInsensitiveDict)
    made._store = store  # type: ignore[attr-defined]
    return made


def _by_methods(headers: CaseInsensitiveDict[str], host: str) -> CaseInsensitiveDict[str]:
    made: CaseInsensitiveDict[str] = CaseInsensitiveDict({"Host": host})
    made.update(headers)
    made.pop(_PROXY, None)
    return made


def _headers_have_a_store() -> bool:
    headers: CaseInsensitiveDict[str] = CaseInsensitiveDict({"Accept": "a", "HOST": "mine", "Proxy-Authorization": "p"})
    try:
        made = _by_store(headers, "orders")
        same = list(made.items()) == [("HOST", "mine"), ("Accept", "a")] == list(_by_methods(headers, "orders").items())
        return same and list(vars(headers)) == ["_store"] and list(headers) == ["Accept", "HOST", "Proxy-Authorization"]
    except (AttributeError, TypeError, ValueError):
        return False


HEADERS_HAVE_A_STORE = _headers_have_a_store()
