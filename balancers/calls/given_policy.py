"""The policy that a client was given, as one object or as the two arguments that clients take besides."""

from __future__ import annotations

from .policy import CallPolicy

__all__ = ["UNSAID", "checked_policy", "given_policy"]

UNSAID = CallPolicy()
"""The policy of a client that was given none: the one that the variables say when a call begins."""


def given_policy(policy: CallPolicy | None, attempts: int | None, deadline: float | None) -> CallPolicy:
    """`policy`, or the default one with these `attempts` and this `deadline`; None is what was not given, and `UNSAID`
    is that for all of it.

    Raises:
        ValueError: a policy and one of the other two, or one of these has no sense.
        TypeError: it is no policy.
    """
    if policy is None:
        if attempts is None and deadline is None:
            return UNSAID
        return CallPolicy(deadline=deadline) if attempts is None else CallPolicy(attempts, deadline)
    for name, value in (("attempts", attempts), ("deadline", deadline)):
        if value is not None:
            raise ValueError(f"{name} is {value!r}; accepted: nothing besides a policy, which has its own {name}")
    return checked_policy(policy)


def checked_policy(policy: CallPolicy) -> CallPolicy:
    """`policy`. Raises `TypeError` if it is none."""
    if not isinstance(policy, CallPolicy):
        raise TypeError(f"policy is a {type(policy).__name__}; accepted: a CallPolicy")
    return policy
