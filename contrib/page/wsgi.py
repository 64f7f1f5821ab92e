"""The page as a WSGI application. A stream would hold a thread of the server for as long as a browser is there: so the
page asks again every two seconds, and is told "not modified" as a rule.
"""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

from .messages import Request, text_answer
from .routes import Routes

__all__ = ["WsgiPage"]


class WsgiPage:
    """Answers what `routes` answer. A wrong password is not held back, which would hold a thread: from the second
    failure on it is told to come later.
    """

    def __init__(self, routes: Routes) -> None:
        self._routes = routes

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """See WSGI."""
        request = _request(environ)
        answer = self._routes.answer(request, live=False)
        if answer.held_back > 1:
            wait = str(round(answer.held_back))
            answer = text_answer(429, "Too many wrong passwords.", retry_after=wait)
        headers = [("-".join(map(str.title, name.split("-"))), value) for name, value in answer.all_headers().items()]
        start_response(f"{answer.status} {HTTPStatus(answer.status).phrase}", headers)
        return [b"" if request.method == "HEAD" else answer.body]


def _request(environ: dict[str, Any]) -> Request:
    headers = {
        name.removeprefix("HTTP_").replace("_", "-").lower(): str(value)
        for name, value in environ.items()
        if name.startswith("HTTP_")
    }
    path = environ.get("PATH_INFO", "").encode("latin-1").decode(errors="replace")
    return Request.of(
        environ["REQUEST_METHOD"],
        path,
        environ.get("SCRIPT_NAME", "").rstrip("/"),
        environ.get("QUERY_STRING", ""),
        headers,
        environ.get("REMOTE_ADDR", ""),
    )
