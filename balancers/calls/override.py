"""The policy of single calls, whoever makes them: a context variable that every client reads when a call begins."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar

from .given_policy import checked_policy
from .policy import CallPolicy

__all__ = ["call_policy", "overriding"]

overriding: ContextVar[CallPolicy | None] = ContextVar("pydoudou.call_policy", default=None)
"""The policy that goes before the client's; None if there is none."""


@contextlib.contextmanager
def call_policy(policy: CallPolicy) -> Iterator[CallPolicy]:
    """Calls that begin in this block, in this thread or task, follow `policy` and not that of their client::

        with pydoudou.call_policy(pydoudou.CallPolicy(attempts=1)):
            client.post("http://orders/items", json=item)

    Raises:
        TypeError: it is no policy.
    """
    token = overriding.set(checked_policy(policy))
    try:
        yield policy
    finally:
        overriding.reset(token)
