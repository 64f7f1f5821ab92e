"""Times as people read them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

__all__ = ["humanised", "registered_at"]

_UNITS = (("day", 86400), ("hour", 3600), ("minute", 60), ("second", 1))


def registered_at(fields: Mapping[str, Any]) -> float | None:
    """When the process of a row registered, in Unix time; None if it does not say."""
    text = fields["registerAt"]
    if not text:
        return None
    when = datetime.fromisoformat(text)
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()


def humanised(seconds: float) -> str:
    """The two largest units, as go-doudou's page has them: ``2 days 3 hours``."""
    left = max(0, int(seconds))
    parts = []
    for name, size in _UNITS:
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count} {name}{'' if count == 1 else 's'}")
    return " ".join(parts[:2]) or "0 seconds"
