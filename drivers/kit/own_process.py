"""The number of this process, for who wants to know at every request: the system takes too long to say."""

from __future__ import annotations

import os

__all__ = ["number"]

number = os.getpid()


def _after_fork() -> None:
    global number
    number = os.getpid()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
