"""How much the tests do that could go on for ever: a little in every run, much in `make long`."""

from __future__ import annotations

import os

__all__ = ["EFFORT"]

EFFORT = int(os.environ.get("PYDOUDOU_EFFORT", "1"))
"""How many times as many examples, seeds and simulated hours. With more than one, examples are drawn anew each time."""
