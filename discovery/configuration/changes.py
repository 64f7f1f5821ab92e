"""How many times something has changed in this process that every call depends on and that hardly ever changes: the
settings of a registry, which registry is the default one, who watches calls.

Whoever remembers the number of the time when it asked need not ask again while it is the same.
"""

from __future__ import annotations

import itertools

__all__ = ["changed", "number"]

_numbers = itertools.count(1)
number = 0
"""Another one after each change."""


def changed() -> None:
    """Something has, just now; from any thread."""
    global number
    number = next(_numbers)
