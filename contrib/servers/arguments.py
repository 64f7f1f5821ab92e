"""What every integration is given about the registration of a server, checked where it is given: nobody looks at an
application that does not register because of it until it runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...discovery.arguments import checked_mapping
from ...discovery.settings import Settings
from ..protection.checked import checked_seconds
from .check import Check

__all__ = ["check_arguments"]


def check_arguments(
    data: Mapping[str, Any] | None, settings: Settings | None, check: str, scheme: str, drain: float | None
) -> None:
    """Nothing, if all of them can be used.

    Raises:
        TypeError, ValueError: one cannot, which the message names.
    """
    if data is not None:
        checked_mapping("data", data)
    if settings is not None and not isinstance(settings, Settings):
        raise TypeError(f"settings is a {type(settings).__name__}; accepted: Settings, or None for the environment's")
    Check("localhost", 1, check, scheme)
    if drain is not None:
        checked_seconds("drain", drain, zero=True)
