"""Signed tokens, which say who somebody is; only who makes them needs the secret."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import jwt

from .variables import secret

__all__ = ["expiry", "issue", "user_id"]

_SECRET = secret("BIZ_JWT_SECRET", "secret")
_LASTS = timedelta(hours=12)
_ALGORITHM = "HS256"


def issue(user: int) -> str:
    """A token for the user with this id."""
    return jwt.encode({"userId": user, "exp": datetime.now(UTC) + _LASTS}, _SECRET, _ALGORITHM)


def user_id(token: str) -> int:
    """Whose token it is; 0 if it is forged or has expired."""
    try:
        found = jwt.decode(token, _SECRET, [_ALGORITHM], options={"require": ["exp"]}).get("userId", 0)
    except jwt.InvalidTokenError:
        return 0
    return found if isinstance(found, int) else 0


def expiry(token: str) -> datetime:
    """When a token that is valid expires."""
    return datetime.fromtimestamp(jwt.decode(token, _SECRET, [_ALGORITHM])["exp"], UTC)
