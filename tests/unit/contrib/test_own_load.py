"""What a bulkhead says of how much more its server can take."""

from __future__ import annotations

import gc
from collections.abc import Callable

import pytest

from pydoudou.contrib.metrics.protection import BulkheadCounts, PlacesUse
from pydoudou.contrib.protection.load import OwnLoad
from pydoudou.drivers.kit import own_load


class Served:
    """A server with ten places in virtual time, and what it says."""

    def __init__(self) -> None:
        self.now = 100.0
        self.counts = BulkheadCounts("own load", 10, lambda: self.now)
        self.load = OwnLoad(self.counts, 10, lambda: self.now)
        self._places = PlacesUse()
        self.counts.begin(self._places)

    def serve(self, at_once: int, seconds_each: float, rounds: int = 10) -> float:
        """So many requests at a time, each for so long, again and again: a reading a second."""
        said = 1.0
        for _ in range(rounds):
            for _ in range(round(1 / seconds_each)):
                taken, seconds, entered = self._places.use
                self._places.use = taken + at_once, seconds - at_once * self.now, entered + at_once
                self.now += seconds_each
                taken, seconds, entered = self._places.use
                self._places.use = taken - at_once, seconds + at_once * self.now, entered
            said = self.load.headroom()
        return said


def test_what_is_free_is_the_share_of_the_places_that_nobody_holds() -> None:
    served = Served()
    assert served.load.headroom() == 1.0
    assert served.serve(5, 0.1) == pytest.approx(0.5, abs=1 / 8)
    assert served.serve(9, 0.1) == pytest.approx(0.1, abs=1 / 8)
    assert served.serve(0, 0.1) == pytest.approx(1.0, abs=1 / 8)


def test_nothing_is_free_where_somebody_is_refused() -> None:
    served = Served()
    for _ in range(10):
        served.counts.refuse(waited=False)
        served.now += 1
        said = served.load.headroom()
    assert said == pytest.approx(0.0, abs=1 / 8)


def test_answers_that_take_longer_than_usual_count_against_it_and_twice_as_long_do_not() -> None:
    served = Served()
    usual = served.serve(1, 0.01, rounds=30)
    assert served.serve(1, 0.02, rounds=5) == usual
    assert served.serve(1, 0.1, rounds=5) < 0.6 * usual
    assert served.serve(1, 0.01, rounds=10) == pytest.approx(usual, abs=1 / 8)


def test_small_changes_are_not_told() -> None:
    served = Served()
    served.serve(5, 0.1)
    said = {served.serve(at_once, 0.1, rounds=1) for at_once in (5, 6, 5, 4, 5, 6, 5, 4) * 10}
    assert len(said) == 1
    served.serve(0, 0.1)
    said = {round(8 * served.serve(at_once, 0.1, rounds=1)) for at_once in (1, 0) * 20}
    assert said == {8}


def test_two_who_ask_at_once_hear_the_same() -> None:
    served = Served()
    first = served.serve(9, 0.1)
    assert [served.load.headroom() for _ in range(5)] == [first] * 5


def test_the_process_has_the_free_share_of_who_has_least_and_of_nobody_all() -> None:
    class Has:
        def __init__(self, share: float) -> None:
            self.headroom: Callable[[], float] = lambda: share

    gc.collect()  # bulkheads of other tests
    before = own_load.headroom()
    sources = [Has(0.7), Has(0.4)]
    for source in sources:
        own_load.add_source(source)
    assert own_load.headroom() == min(before, 0.4)
    sources.clear()
    del source
    gc.collect()
    assert own_load.headroom() == before
