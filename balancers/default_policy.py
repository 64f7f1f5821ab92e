"""The policy of calls whose client was given none: what the variables of the registry say."""

from __future__ import annotations

import functools

from ..discovery import Registry
from ..discovery.configuration.call_defaults import CallDefaults
from .calls.policy import CallPolicy

__all__ = ["NOTHING_SAID", "default_policy", "policy_of"]

NOTHING_SAID = CallDefaults()
"""What the variables say where no registry has read them."""


def default_policy(registry: Registry | None) -> CallPolicy:
    """The one that holds now.

    Args:
        registry: whose settings count; None: nobody's.
    """
    return policy_of(NOTHING_SAID if registry is None else registry.settings.calls)


@functools.lru_cache(maxsize=64)
def policy_of(defaults: CallDefaults) -> CallPolicy:
    """The one that the variables say so."""
    return CallPolicy(
        defaults.attempts,
        defaults.deadline or None,
        attempt_timeout=defaults.attempt_timeout or None,
        retry_ratio=defaults.retry_ratio,
        retry_reserve=defaults.retry_reserve,
    )
