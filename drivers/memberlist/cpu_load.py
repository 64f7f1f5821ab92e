"""How busy this machine is, for the dynamic weight."""

from __future__ import annotations

import os
import time
from pathlib import Path

__all__ = ["LoadMeter"]

_PROC_STAT = Path("/proc/stat")
_IDLE = 3


class LoadMeter:
    """The idle share of the processors between two readings, as go-doudou measures it: of the whole machine."""

    def __init__(self) -> None:
        self._before = _ticks()

    def __call__(self) -> tuple[float, int]:
        """The idle share since the last call, 0 to 1, and the Unix time in milliseconds."""
        return self._idle(), time.time_ns() // 1_000_000

    def _idle(self) -> float:
        before, self._before = self._before, _ticks()
        if before is None or self._before is None:
            # No /proc: the load average says how many processes want a processor.
            return max(0.0, 1.0 - os.getloadavg()[0] / (os.cpu_count() or 1)) if hasattr(os, "getloadavg") else 1.0
        total = self._before[1] - before[1]
        return (self._before[0] - before[0]) / total if total > 0 else 1.0


def _ticks() -> tuple[int, int] | None:
    """Idle and all processor ticks since the machine started, or None where nobody tells."""
    try:
        fields = [int(field) for field in _PROC_STAT.read_text().split("\n", 1)[0].split()[1:9]]
    except (OSError, ValueError):
        return None
    return fields[_IDLE], sum(fields)
