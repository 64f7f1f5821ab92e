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
    return _made(_NOTHING_SAID if registry is None else registry.settings.calls)


@functools.lru_cache(maxsize=64)
def _made(defaults: CallDefaults) -> CallPolicy:
    return CallPolicy(
        defaults.attempts,
        defaults.deadline or None,
        attempt_timeout=defaults.attempt_timeout or None,
        retry_ratio=defaults.retry_ratio,
        retry_reserve=defaults.retry_reserve,
    )
