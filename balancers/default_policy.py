"""The policy of calls whose client was given none: what the variables of the registry say."""

from __future__ import annotations

import functools

from ..discovery import Registry
from ..discovery.configuration.call_defaults import CallDefaults
from .calls.policy import CallPolicy

__all__ = ["default_policy"]

_NOTHING_SAID = CallDefaults()


def default_policy(registry: Registry | None) -> CallPolicy:
    """The one that holds now.

    Args:
        registry: whose settings count; None: nobody's.
    """
    global _latest
    defaults = _NOTHING_SAID if registry is None else registry.settings.calls
    latest = _latest
    if latest[0] is not defaults:
        latest = _latest = (defaults, _made(defaults))
    return latest[1]


@functools.lru_cache(maxsize=64)
def _made(defaults: CallDefaults) -> CallPolicy:
    return CallPolicy(
        defaults.attempts,
        defaults.deadline or None,
        attempt_timeout=defaults.attempt_timeout or None,
        retry_ratio=defaults.retry_ratio,
        retry_reserve=defaults.retry_reserve,
    )


_latest = (_NOTHING_SAID, _made(_NOTHING_SAID))
"""What was said last and the policy of it: every call asks, and settings are nearly always the same object."""
