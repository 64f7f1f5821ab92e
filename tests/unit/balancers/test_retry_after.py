"""When an answer says to come back."""

from __future__ import annotations

import pytest

from pydoudou.balancers.calls.retry_after import retry_after

WALL = 784111777.0  # Sun, 06 Nov 1994 08:49:37 GMT


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        ("7", 7.0),
        (" 7 ", 7.0),
        ("1.5", 1.5),
        ("300", 300.0),
        ("86400", 300.0),
        ("9" * 18, 300.0),
        ("Sun, 06 Nov 1994 08:50:07 GMT", 30.0),
        ("Sunday, 06-Nov-94 08:50:07 GMT", 30.0),
        ("Sun, 06 Nov 1994 08:49:00 GMT", 0.0),
        ("Mon, 06 Nov 2094 08:49:00 GMT", 300.0),
        ("", None),
        ("-1", None),
        ("soon", None),
        ("1e3", None),
        ("nan", None),
        ("inf", None),
        ("٣", None),
        ("9" * 400, None),
        ("Sun, 99 Nov 1994 08:49:37 GMT", None),
        ("Sun, 06 Nov 99999 08:49:37 GMT", None),
        ("\x00", None),
        (None, None),
    ],
    ids=repr,
)
def test_seconds_and_dates_are_read_up_to_five_minutes_and_nonsense_is_not(
    text: str | None, seconds: float | None
) -> None:
    assert retry_after({"retry-after": text}.get, lambda: WALL) == seconds


def test_a_date_is_taken_by_the_clock_of_who_said_it() -> None:
    headers = {"retry-after": "Sun, 06 Nov 1994 08:50:07 GMT", "date": "Sun, 06 Nov 1994 08:50:02 GMT"}
    assert retry_after(headers.get, lambda: WALL + 1e6) == 5.0
