"""The figures of one run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import attrs

__all__ = ["Row", "percentile"]


def percentile(ordered: Sequence[float], share: float) -> float:
    """The value below which so large a share of the values is, which are in order; 0.0 if there are none."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0


@attrs.frozen
class Row:
    """What a balancer did about a fault. Calls that began in the first sixth of the time are not counted.

    Attributes:
        calls: that were counted.
        errors: those that ended without an answer, or with a status of 500 or more.
        attempts: of the counted calls, all together.
        p99: seconds from the start of a call to its end, failed ones too: the 99th percentile.
        p99_ratio: over `p99` of the same run without the fault.
        share_ratio: of the attempts, the largest share of a member to the smallest; infinite if one had none.
        fault_share: of the attempts that began while the fault was there, those at the first member, which has it.
        ejections: how often a member was taken out.
        longest_out: seconds that a member was out at the longest, without a break.
    """

    fault: str
    balancer: str
    calls: int
    errors: int
    attempts: int
    p99: float
    p99_ratio: float
    share_ratio: float
    fault_share: float = 0.0
    ejections: int = 0
    longest_out: float = 0.0

    @property
    def error_share(self) -> float:
        """Of the calls, those that failed."""
        return self.errors / self.calls if self.calls else 0.0

    def to_dict(self) -> dict[str, Any]:
        """As JSON takes it: rounded, and an infinite ratio as None."""
        return {
            "fault": self.fault,
            "balancer": self.balancer,
            "calls": self.calls,
            "error_share": round(self.error_share, 6),
            "p99_ratio": round(self.p99_ratio, 4),
            "share_ratio": round(self.share_ratio, 4) if math.isfinite(self.share_ratio) else None,
            "fault_share": round(self.fault_share, 6),
            "p99_seconds": round(self.p99, 6),
            "attempts_per_call": round(self.attempts / self.calls, 4) if self.calls else 0.0,
            "ejections": self.ejections,
            "longest_out_seconds": round(self.longest_out, 3),
        }
