"""What strangers cause is logged once a minute for each kind, with the number of what was not."""

from __future__ import annotations

import logging
import math

import pytest

from pydoudou.drivers.kit.log_limit import RateLimitedLog


def test_each_kind_is_logged_once_a_minute_and_the_rest_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    now = 0.0
    limited = RateLimitedLog(logging.getLogger("limited"), lambda: now)

    def said() -> list[str]:
        lines = [record.getMessage() for record in caplog.records]
        caplog.clear()
        return lines

    for number in range(5):
        limited.warning("bad packet", "bad packet %d", number)
    limited.warning("bad stream", "bad stream")
    assert said() == ["bad packet 0", "bad stream"]
    now = 59.9
    limited.warning("bad packet", "bad packet 5")
    assert said() == []
    now = 60.0
    limited.warning("bad packet", "bad packet %d", 6)
    limited.warning("bad stream", "bad stream again")
    assert said() == ["bad packet 6 (5 more like this since the last time)", "bad stream again"]


def test_each_source_of_a_kind_is_named_and_their_number_in_a_minute_is_bounded(
    caplog: pytest.LogCaptureFixture,
) -> None:
    now = 0.0
    limited = RateLimitedLog(logging.getLogger("limited"), lambda: now, lines_per_minute=3, remembered=10)
    for number in range(1000):
        limited.warning("bad packet", "from %d", number, source=f"source {number}")
    assert [record.getMessage() for record in caplog.records] == ["from 0", "from 1", "from 2"]
    limited.warning("bad stream", "another kind has lines of its own")
    assert len(caplog.records) == 4
    caplog.clear()
    now = 60.0
    limited.warning("bad packet", "again", source="source 999")
    assert [record.getMessage() for record in caplog.records] == ["again (1 more like this since the last time)"]


def test_what_is_said_once_is_said_again_only_when_it_was_forgotten(caplog: pytest.LogCaptureFixture) -> None:
    now = 0.0
    limited = RateLimitedLog(logging.getLogger("limited"), lambda: now, interval=math.inf, remembered=2)
    for source in ("a", "b", "a", "b", "c", "c", "a"):
        now += 1000.0
        limited.warning("bad packet", "%s", source, source=source)
    assert [record.getMessage()[0] for record in caplog.records] == ["a", "b", "c", "a"]
