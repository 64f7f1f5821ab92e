"""New members come to their full share step by step: their caches are cold, their pools empty, their code not compiled.

Envoy's formula with aggression 1: the part of its share that a member gets is its age over the window, and a tenth at
least. Only while fewer than half of the members are new: there has to be somebody who takes the rest. Those that were
there when this process began are not new, whenever they began themselves.
"""

from __future__ import annotations

from collections.abc import Sequence

from .member_record import MemberRecord

__all__ = ["KNOWN_WITHIN", "STEPS", "young_parts"]

KNOWN_WITHIN = 10.0
"""Seconds after the first member was seen within which the others are held to have been there already."""

STEPS = 10
"""How often the part is made anew within the window."""


def young_parts(
    records: Sequence[MemberRecord], now: float, window: float | None, least: float
) -> dict[MemberRecord, float]:
    """Which part of its share each new member gets now; empty if nobody is new, or half of them are.

    Args:
        window: seconds that a member is new; None: for no time.
        least: the part that it begins with.
    """
    if window is None:
        return {}
    young = {
        record: min(1.0, max(least, (now - record.young_since) / window))
        for record in records
        if record.young_since is not None and now < record.young_since + window
    }
    return young if 2 * len(young) < len(records) else {}
