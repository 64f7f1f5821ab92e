"""How far a call may go whose client was given no policy, as the variables say it."""

from __future__ import annotations

import attrs

from ...drivers.environment import Environment

__all__ = ["VARIABLES", "CallDefaults", "read_call_defaults"]

_DEADLINE, _ATTEMPT_TIMEOUT = "GDD_CALL_DEADLINE", "GDD_CALL_ATTEMPT_TIMEOUT"
VARIABLES = frozenset(
    {"GDD_CALL_ATTEMPTS", _DEADLINE, _ATTEMPT_TIMEOUT, "GDD_CALL_RETRY_RATIO", "GDD_CALL_RETRY_RESERVE"}
)


@attrs.frozen
class CallDefaults:
    """As the arguments of `CallPolicy` of the same names, which have the same defaults; 0 seconds are none at all."""

    attempts: int = 3
    deadline: float = 0.0
    attempt_timeout: float = 0.0
    retry_ratio: float = 0.2
    retry_reserve: float = 1.0


def read_call_defaults(environment: Environment) -> CallDefaults:
    """Read them; what is wrong is recorded on `environment`."""
    found = CallDefaults(
        attempts=environment.integer("GDD_CALL_ATTEMPTS", 3, least=1, most=100),
        deadline=environment.duration(_DEADLINE, 0.0, positive=False),
        attempt_timeout=environment.duration(_ATTEMPT_TIMEOUT, 0.0, positive=False),
        retry_ratio=environment.number("GDD_CALL_RETRY_RATIO", 0.2, least=0, most=100),
        retry_reserve=environment.number("GDD_CALL_RETRY_RESERVE", 1.0, least=0, most=10_000),
    )
    if 0 < found.deadline < found.attempt_timeout:
        environment.problem(_ATTEMPT_TIMEOUT, f"at most the deadline of the whole call ({found.deadline:g} s)")
    return found
