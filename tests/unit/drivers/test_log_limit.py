"""What strangers cause is logged once a minute for each kind, with the number of what was not."""

from __future__ import annotations

import logging

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
