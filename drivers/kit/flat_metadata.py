"""The user's metadata, as a backend registers it: flat, with text for keys and small.

What every backend refuses is refused here, before anything is sent: a process that cannot show a peer's metadata may
not survive it, as go-doudou's registry page does not survive nested values, infinity and NaN.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ..errors import RegistrationError
from .validation import is_unicode

__all__ = ["as_text", "check_flat", "largest_keys"]

_SHOWN = 3
_MOST_BITS = 1024
"""Of a whole number, as of the largest float. Python refuses to write a very large one."""


def check_flat(data: Mapping[str, Any]) -> None:
    """Check that every key is text, and every value text, bytes, a finite number of some size, a truth value or None.

    Raises:
        RegistrationError: one is not; the message names it.
    """
    for key, value in data.items():
        if not isinstance(key, str) or not key.isprintable():
            raise RegistrationError(f"the metadata key {key!r:.60} is not text, or cannot be printed")
        if isinstance(value, str) and not is_unicode(value):
            raise RegistrationError(f"the metadata value of {key!r} is {value!r:.60}, which is not Unicode")
        if isinstance(value, int) and value.bit_length() > _MOST_BITS:
            raise RegistrationError(f"the metadata value of {key!r} is a whole number of more than {_MOST_BITS} bits")
        if isinstance(value, float) and not math.isfinite(value):
            raise RegistrationError(f"the metadata value of {key!r} is {value!r}; a number must be finite")
        if not (value is None or isinstance(value, (str, bytes, bool, int, float))):
            raise RegistrationError(
                f"the metadata value of {key!r} is {value!r:.60}; it must be text, bytes, a number, a truth value or "
                "None (go-doudou's registry page fails on nested values)"
            )


def as_text(data: Mapping[str, Any]) -> dict[str, str]:
    """The metadata for a backend that takes only text: true and false, numbers as Python writes them, "" for None.

    Raises:
        RegistrationError: as `check_flat`, or bytes that are not UTF-8.
    """
    check_flat(data)
    return {key: _text(key, value) for key, value in data.items()}


def largest_keys(sizes: Mapping[str, int], unit: str) -> str:
    """The largest keys by their sizes in `unit`, for a `MetadataTooLarge`: what to shorten. "" if there are none."""
    largest = sorted(sizes.items(), key=lambda item: (-item[1], item[0]))[:_SHOWN]
    return ", ".join(f"{key!r} ({size} {unit})" for key, size in largest)


def _text(key: str, value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            raise RegistrationError(
                f"the metadata value of {key!r} is bytes that are not UTF-8: this backend takes text"
            ) from None
    return "" if value is None else str(value)
