"""Whether a server answers, asked as its callers will: over HTTP, at the address that is advertised.

That a port takes connections proves nothing: gunicorn's is open before any worker exists.
"""

from __future__ import annotations

import http.client
import ssl

import attrs

from ...drivers.members import bracketed

__all__ = ["Check"]

_TIMEOUT = 2.0
_LEAST_BAD = 500


def _checked_path(check: Check, attribute: object, path: str) -> None:
    if not isinstance(path, str):
        raise TypeError(f"the check is a {type(path).__name__}; accepted: a path such as /healthz")
    if not path.startswith("/") or not path.isascii() or not path.isprintable() or " " in path:
        raise ValueError(f"the check is {path!r}; accepted: a path such as /healthz, as it stands in a request")


def _checked_scheme(check: Check, attribute: object, scheme: str) -> None:
    if scheme not in ("http", "https"):
        raise ValueError(f"the scheme is {scheme!r}; accepted: http, https")


@attrs.frozen
class Check:
    """GET of a path: any status below 500 will do, for a service need have nothing under it. The certificate is not
    verified, and no redirect is followed: both lead away from the question.

    Attributes:
        host: the advertised one; IPv6 without brackets.
        timeout: seconds to connect, and for every part of the answer.
        agent: who asks, in the request's ``User-Agent``.

    Raises:
        TypeError, ValueError: the path or the scheme cannot be used.
    """

    host: str
    port: int
    path: str = attrs.field(default="/", validator=_checked_path)
    scheme: str = attrs.field(default="http", validator=_checked_scheme)
    timeout: float = _TIMEOUT
    agent: str = "pydoudou"

    @property
    def url(self) -> str:
        """What is asked."""
        return f"{self.scheme}://{bracketed(self.host)}:{self.port}{self.path}"

    def problem(self) -> str:
        """Ask; "" if the server answers, else what came instead."""
        connection = self._connection()
        try:
            connection.request("GET", self.path, headers={"Connection": "close", "User-Agent": self.agent})
            status = connection.getresponse().status
        except (OSError, http.client.HTTPException) as error:
            return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        finally:
            connection.close()
        return f"it answers with status {status}" if status >= _LEAST_BAD else ""

    def _connection(self) -> http.client.HTTPConnection:
        if self.scheme == "http":
            return http.client.HTTPConnection(self.host, self.port, timeout=self.timeout)
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return http.client.HTTPSConnection(self.host, self.port, timeout=self.timeout, context=context)
