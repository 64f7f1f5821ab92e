"""Where the token of a request is."""

from __future__ import annotations

__all__ = ["bearer"]


def bearer(authorization: str | None) -> str:
    """The token of an ``Authorization`` header; "" if there is none."""
    kind, _, token = (authorization or "").partition(" ")
    return token.strip() if kind.lower() == "bearer" else ""
