"""Whose files are read: ``GDD_ENV``."""

from __future__ import annotations

from ...drivers.environment import Environment

__all__ = ["named_env"]

_ENV = "GDD_ENV"
_DEFAULT_ENV = "dev"
_MOST = 64


def named_env(environment: Environment) -> str:
    """The environment whose files are read, such as ``dev``."""
    name = environment.text(_ENV, _DEFAULT_ENV)
    usable = name.isascii() and name.replace("_", "").replace("-", "").replace(".", "").isalnum()
    if usable and len(name) <= _MOST and not name.startswith("."):
        return name
    environment.problem(_ENV, f"up to {_MOST} letters, digits, '_', '-' and '.': it is a part of the names of files")
    return _DEFAULT_ENV
