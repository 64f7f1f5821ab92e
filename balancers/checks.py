"""What the arguments of a policy have to be. Each error names the argument, its value and what is accepted."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar

import attrs

__all__ = ["a_function", "a_kind", "a_number", "a_whole_number", "an_option", "seconds"]

T = TypeVar("T")
_Validator = Callable[[Any, "attrs.Attribute[Any]", Any], None]


def a_whole_number(least: int, most: float = math.inf) -> _Validator:
    """A whole number from `least` to `most`."""
    accepted = f"a whole number from {least}{f' to {most}' if most < math.inf else ''}"

    def check(instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise ValueError(f"{attribute.name} is {value!r}; accepted: {accepted}")

    return check


def a_number(least: float, most: float = math.inf, *, above: bool = False) -> _Validator:
    """A finite number from `least` to `most`; greater than `least` if `above`."""
    accepted = f"a number {'greater than' if above else 'from'} {least:g}{f' to {most:g}' if most < math.inf else ''}"

    def check(instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:
        if not _is_number(value) or not least <= value <= most or (above and value == least):
            raise ValueError(f"{attribute.name} is {value!r}; accepted: {accepted}")

    return check


def seconds(*, optional: bool) -> _Validator:
    """A time greater than 0; None too if it is optional."""
    accepted = "seconds greater than 0, or None" if optional else "seconds greater than 0"

    def check(instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:
        if not (value is None and optional) and not (_is_number(value) and value > 0):
            raise ValueError(f"{attribute.name} is {value!r}; accepted: {accepted}")

    return check


def an_option(instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    """True or False."""
    if not isinstance(value, bool):
        raise ValueError(f"{attribute.name} is {value!r}; accepted: True or False")


def a_function(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    """Something that can be called."""
    if not callable(value):
        raise ValueError(f"{attribute.name} is {value!r}; accepted: a function, or None")


def a_kind(kind: type, accepted: str) -> _Validator:
    """An object of this class, or None."""

    def check(instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:
        if value is not None and not isinstance(value, kind):
            raise ValueError(f"{attribute.name} is {value!r}; accepted: {accepted}, or None")

    return check


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
