"""Lets in whoever the user service knows by the token of the request."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from fastapi.responses import PlainTextResponse

from .bearer import bearer
from .discovery import Service
from .errors import BizError

__all__ = ["SignedIn", "user_of"]

Scope = MutableMapping[str, Any]
App = Callable[[Scope, Any, Any], Awaitable[None]]


class SignedIn:
    """Middleware: 401 for nobody; 503 if the user service does not answer, which says nothing about the token."""

    def __init__(self, app: App, users: Service) -> None:
        self._app = app
        self._users = users

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        """See ASGI."""
        if scope["type"] == "http":
            given = dict(scope["headers"]).get(b"authorization", b"").decode("latin-1")
            try:
                user = await self._user(bearer(given))
            except BizError as error:
                await PlainTextResponse(str(error), error.status)(scope, receive, send)
                return
            scope.setdefault("state", {})["user"] = user
        await self._app(scope, receive, send)

    async def _user(self, token: str) -> dict[str, Any]:
        if token:
            answer = await self._users.call("POST", "/public/token/validate", data={"token": token})
            user: dict[str, Any] = answer["user"]
            if user["id"]:
                return user
        raise BizError(401, "sign in first")


def user_of(scope: Scope) -> str:
    """The id of whoever sent the request, as text."""
    return str(scope["state"]["user"]["id"])
