"""Arguments, checked where they are given: an error names the argument, and what is accepted."""

from __future__ import annotations

import math

__all__ = ["checked_count", "checked_name", "checked_seconds", "checked_service"]


def checked_count(argument: str, value: int, least: int = 1) -> int:
    """`value`, if it is a whole number of `least` or more.

    Raises:
        TypeError: it is no whole number.
        ValueError: it is less.
    """
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{argument} is a {type(value).__name__}; accepted: a whole number, {least} or more")
    if value < least:
        raise ValueError(f"{argument} is {value}; accepted: {least} or more")
    return value


def checked_seconds(argument: str, value: float, *, zero: bool) -> float:
    """`value`, if it is a finite number of seconds; `zero` tells whether that may be 0.

    Raises:
        TypeError: it is no number.
        ValueError: it is negative or not finite.
    """
    accepted = "0 or more" if zero else "more than 0"
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise TypeError(f"{argument} is a {type(value).__name__}; accepted: seconds, {accepted}")
    if not math.isfinite(value) or value < 0 or (value == 0 and not zero):
        raise ValueError(f"{argument} is {value}; accepted: seconds, {accepted}")
    return float(value)


def checked_name(argument: str, value: str) -> str:
    """`value`, if it can stand in a key and in a label.

    Raises:
        TypeError: it is no text.
        ValueError: it is empty, or has anything but letters, digits and ``._-``.
    """
    if not isinstance(value, str):
        raise TypeError(f"{argument} is a {type(value).__name__}; accepted: text")
    if not value.isascii() or not value.replace("_", "").replace("-", "").replace(".", "").isalnum():
        raise ValueError(f"{argument} is {value!r}; accepted: letters, digits and ._-")
    return value


def checked_service(value: str) -> str:
    """`value`, if it can stand in a header: the name of a service, or nothing.

    Raises:
        TypeError: it is no text.
        ValueError: it has blanks, or what HTTP cannot carry.
    """
    if not isinstance(value, str):
        raise TypeError(f"service is a {type(value).__name__}; accepted: text")
    if not value.isascii() or not value.isprintable() or " " in value:
        raise ValueError(f"service is {value!r}; accepted: the name under which callers know it, in ASCII")
    return value
