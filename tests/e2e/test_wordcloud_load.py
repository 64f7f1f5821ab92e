"""The load test of the original: uploads at a growing rate, while makers are killed and restarted."""

from __future__ import annotations

import collections
import re
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import attrs
import httpx
import pytest
from support.effort import EFFORT
from support.waiting import eventually
from support.wordcloud import Person, part, running, skip_without

skip_without()

UPLOADS = 200 if EFFORT > 1 else 40
"""The original's number is 200; each that is drawn costs half a second of a processor."""
WITHIN, MAKERS, LONGEST = 10.0, 3, 180.0
TEXT = b"Gossip spreads news. Gossip finds members, members hear gossip; every member hears news from members.\n"


@attrs.frozen
class Limits:
    """What bff lets in, in the numbers of the original."""

    rate: int
    burst: int
    places: int
    wait: int

    @property
    def variables(self) -> dict[str, str]:
        """Those that bff reads."""
        names = ("BIZ_RATE", "BIZ_BURST", "BIZ_BULKHEAD_WORKERS", "BIZ_BULKHEAD_WAIT")
        return dict(zip(names, map(str, attrs.astuple(self)), strict=True))

    def __str__(self) -> str:
        return f"{self.rate}/s, burst {self.burst}, {self.places} at once, waiting {self.wait} s"


ORIGINAL = [Limits(10, 30, 10, 3), Limits(100, 200, 30, 10)]
"""Those of its .env file, and those of its Compose file."""


@attrs.frozen
class Answer:
    """How an upload ended, and the seconds it took."""

    response: httpx.Response
    seconds: float

    @property
    def kind(self) -> str:
        """``drawn``; turned away by the ``rate`` or for want of ``places``; ``failed`` after it was let in."""
        if self.response.status_code == 200:
            return "drawn"
        if self.response.status_code == 429:
            return "rate"
        return "places" if "x-doudou-not-processed" in self.response.headers else "failed"


@pytest.mark.timeout(400)
@pytest.mark.parametrize("limits", ORIGINAL[: 2 if EFFORT > 1 else 1], ids=str)
def test_no_upload_is_lost_and_none_is_drawn_twice_while_makers_are_killed(
    limits: Limits,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    record_property: Callable[[str, object], None],
) -> None:
    for name, value in limits.variables.items():
        monkeypatch.setenv(name, value)
    with running(tmp_path, {"makersvc": MAKERS}) as system, Person(system.url) as person:
        eventually(lambda: system.members().get("wordcloud-makersvc") == MAKERS, timeout=30.0)
        makers = [part(system, f"makersvc-{number + 1}") for number in range(MAKERS)]
        began = time.monotonic()

        def upload(number: int) -> Answer:
            due = began + WITHIN * (number / UPLOADS) ** 0.5  # the rate grows from second to second
            time.sleep(max(0.0, due - time.monotonic()))
            sent = time.monotonic()
            return Answer(person.upload(b"upload %d\n" % number + TEXT), time.monotonic() - sent)

        def disturb() -> None:
            time.sleep(WITHIN / 3)
            makers[0].process.kill()
            makers[0].process.wait()
            makers[0].start()
            time.sleep(WITHIN / 3)
            makers[1].stop()
            makers[1].start()

        disturbing = threading.Thread(target=disturb)
        disturbing.start()
        with ThreadPoolExecutor(UPLOADS) as threads:
            answers = list(threads.map(upload, range(UPLOADS)))
        took = time.monotonic() - began
        disturbing.join()
        # How a task ended is told again and again while it cannot be told.
        eventually(lambda: all(task["status"] in (2, 3) for task in person.all_tasks()), timeout=LONGEST)
        tasks = person.all_tasks()
        pictures = {answer.response.json()["data"]["imgUrl"] for answer in answers if answer.kind == "drawn"}
        assert all(person.picture(url) for url in pictures)
        drawn = re.findall(r"drew (\w+)", "".join(maker.log.read_text() for maker in makers))
    counts = collections.Counter(answer.kind for answer in answers)
    slowest = max(answer.seconds for answer in answers)
    figures = (
        f"limits of the original ({limits}): of {UPLOADS} uploads in {WITHIN:g} s {counts['drawn']} drawn, "
        f"{counts['failed']} failed, {counts['rate']} over the rate, {counts['places']} without a place; "
        f"the slowest answer after {slowest:.1f} s, the last one {took:.1f} s after the start"
    )
    print(figures)
    record_property("figures", figures)
    failures = [answer.response.text for answer in answers if answer.kind == "failed"]
    assert counts["drawn"] >= 10, failures
    assert slowest < LONGEST
    assert len(pictures) == counts["drawn"], "every upload has a picture of its own"
    assert {task["imgUrl"] for task in tasks if task["status"] == 2} == pictures, "the list is what was answered"
    assert sorted(task["error"] for task in tasks if task["status"] == 3) == sorted(failures), "a failure was answered"
    assert max(collections.Counter(drawn).values()) == 1, "a picture was drawn twice"
