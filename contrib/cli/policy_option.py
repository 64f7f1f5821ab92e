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
    policy: Any = base
    for text in texts:
        for item in filter(None, (item.strip() for item in text.split(","))):
            name, equals, value = item.partition("=")
            if not equals:
                raise ValueError(f"policy is {item!r}; accepted: NAME=VALUE, such as attempts=2")
            policy = _changed(policy, name.strip(), value.strip(), "")
    assert isinstance(policy, CallPolicy)
    return policy


def _changed(whole: Any, path: str, text: str, above: str) -> Any:
    """`whole`, an attrs object that is `above` in the policy, with one of its values changed."""
    name, dot, below = path.partition(".")
    fields = {field.name: field for field in attrs.fields(type(whole))}
    if name not in fields:
        raise ValueError(f"policy has no {above + name!r}; accepted: {', '.join(above + known for known in fields)}")
    present = getattr(whole, name)
    part = _PARTS.get(name)
    if dot:
        if part is None and not attrs.has(type(present)):
            raise ValueError(f"policy has no {above + path!r}; accepted: {above + name}")
        value = _changed(part() if present is None and part is not None else present, below, text, f"{above}{name}.")
    elif part is not None and text.lower() == "on":
        value = part()
    elif isinstance(present, frozenset):
        value = frozenset(_value(one) for one in text.split("+") if one and one.lower() != "none")
    else:
        value = _value(text)
    return attrs.evolve(whole, **{name: value})


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
