"""What grows with the size of the cluster (upstream: util.go): both by a logarithm, of different bases and steps."""

from __future__ import annotations

import math

__all__ = ["push_pull_scale", "retransmit_limit"]


def retransmit_limit(retransmit_mult: int, nodes: int) -> int:
    """How often a broadcast is sent in a cluster of `nodes`."""
    return retransmit_mult * math.ceil(math.log10(nodes + 1))


def push_pull_scale(interval: float, nodes: int) -> float:
    """The time between two push/pulls: longer in a cluster of more than 32 nodes, where each carries more."""
    if nodes <= 32:
        return interval
    return interval * (math.ceil(math.log2(nodes) - 5) + 1)
