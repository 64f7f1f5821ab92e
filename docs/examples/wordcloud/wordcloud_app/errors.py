"""What goes wrong is told as text, with a status: go-doudou's generated clients expect that."""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import PlainTextResponse

__all__ = ["AGAIN_AFTER", "BizError", "tell_errors"]

AGAIN_AFTER = {"retry-after": "1"}
"""The header of an answer that will be another one soon."""


class BizError(Exception):
    """An answer other than success.

    Args:
        status: of HTTP.
        reason: what happened, and what would be accepted; the caller sees it.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


def tell_errors(app: FastAPI) -> None:
    """Have `app` answer errors as text."""

    @app.exception_handler(BizError)
    async def known(request: Request, error: BizError) -> PlainTextResponse:
        return PlainTextResponse(str(error), error.status, AGAIN_AFTER if error.status in (429, 503) else None)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> PlainTextResponse:
        first = error.errors()[0]
        name = first["loc"][-1]
        if first["type"] == "missing":
            return PlainTextResponse(f"missing parameter {name}", 400)
        return PlainTextResponse(f"parameter {name}: {first['msg']}", 400)
