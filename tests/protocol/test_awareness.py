"""Lifeguard's local health: the score, its bounds, and what it stretches."""

from __future__ import annotations

import pytest

from pydoudou.drivers.memberlist.protocol.awareness import Awareness


@pytest.mark.upstream("TestAwareness")
def test_the_score_stays_within_its_bounds_and_stretches_durations() -> None:
    awareness = Awareness(8)
    deltas = [0, -1, -10, 1, -1, 10, -1, -1, -1, -1, -1, -1, -1, -1]
    expected = [0, 0, 0, 1, 0, 7, 6, 5, 4, 3, 2, 1, 0, 0]
    scores = []
    for delta in deltas:
        awareness.apply(delta)
        scores.append(awareness.score)
        assert awareness.scale(1.5) == 1.5 * (awareness.score + 1)
    assert scores == expected
