"""Whether the process above has this one's service registered: then integrations in here register nothing.

`pydoudou run` says so to its program in a variable of the environment, which names what it registers: a program that
serves something else beside that has still to register it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from ...discovery.settings import Settings

__all__ = ["anything_registered_above", "marked", "registered_above"]

_VARIABLE = "PYDOUDOU_RUN_REGISTERS"


def marked(environment: Mapping[str, str], settings: Settings) -> dict[str, str]:
    """`environment` for a program whose service, that of `settings`, is registered for it."""
    return {**environment, _VARIABLE: _registration(settings)}


def anything_registered_above() -> bool:
    """Whether this is a program of `pydoudou run`, whatever that registers."""
    return _VARIABLE in os.environ


def registered_above(settings: Settings) -> bool:
    """Whether a process above registers what `settings` say."""
    return os.environ.get(_VARIABLE) == _registration(settings)


def _registration(settings: Settings) -> str:
    return f"{settings.service_name}:{settings.port}"
