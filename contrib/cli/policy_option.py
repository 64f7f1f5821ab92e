"""A policy as text: ``attempts=2,attempt_timeout=0.5``, in the names of `CallPolicy`'s own arguments."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import attrs

from ...balancers.calls.breaker import CircuitBreaker
from ...balancers.calls.hedging import Hedging
from ...balancers.calls.policy import CallPolicy
from ...balancers.memory.policy import HealthPolicy

__all__ = ["policy_from"]

_WORDS: dict[str, Any] = {"none": None, "on": True, "true": True, "off": False, "false": False}

_PARTS: dict[str, Callable[[], Any]] = {"breaker": CircuitBreaker, "hedge": Hedging, "health": HealthPolicy}
"""The arguments that are objects of their own, which have defaults."""


def policy_from(texts: Iterable[str], base: CallPolicy) -> CallPolicy:
    """`base`, changed by what the texts say: ``name=value``, several of them with commas in between.

    A value is a number, ``none``, ``on`` or ``off``, or for a set of several values ``502+503``. Of a part of the
    policy that is an object of its own, ``health.least_calls=10`` changes one value, ``on`` takes the defaults.

    Raises:
        ValueError: it says no such thing; the message names what is accepted.
    """
    said: list[tuple[str, str]] = []
    for item in (item.strip() for text in texts for item in text.split(",")):
        name, equals, value = item.partition("=")
        if item and not equals:
            raise ValueError(f"policy is {item!r}; accepted: NAME=VALUE, such as attempts=2")
        if item:
            said.append((name.strip(), value.strip()))
    policy: CallPolicy = _changed(base, said, "")
    return policy


def _changed(whole: Any, said: Iterable[tuple[str, str]], above: str) -> Any:
    """`whole`, an attrs object that is `above` in the policy, with all that is said changed at once: two values may
    be possible only together.
    """
    known = attrs.fields_dict(type(whole))
    values: dict[str, Any] = {}
    parts: dict[str, list[tuple[str, str]]] = {}
    for path, text in said:
        name, dot, below = path.partition(".")
        if name not in known or (dot and name not in _PARTS):
            accepted = ", ".join(above + name for name in known) if name not in known else above + name
            raise ValueError(f"policy has no {above + path!r}; accepted: {accepted}")
        if dot:
            parts.setdefault(name, []).append((below, text))
        else:
            values[name] = _said(name, text, getattr(whole, name))
    for name, inside in parts.items():
        present = values.get(name, getattr(whole, name))
        values[name] = _changed(_PARTS[name]() if present is None else present, inside, f"{above}{name}.")
    return attrs.evolve(whole, **values)


def _said(name: str, text: str, present: Any) -> Any:
    """The value that a text means for an argument whose value is `present`."""
    if name in _PARTS and text.lower() == "on":
        return _PARTS[name]()
    if isinstance(present, frozenset):
        return frozenset(_value(one) for one in text.split("+") if one and one.lower() != "none")
    return _value(text)


def _value(text: str) -> Any:
    """A number, a word that stands for one of Python's values, or the text itself, which the policy will judge."""
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
