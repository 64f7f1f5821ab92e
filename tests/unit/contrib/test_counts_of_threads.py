"""What is counted without a lock on the way of a request: nothing is lost, and nobody reads nonsense meanwhile."""

from __future__ import annotations

import gc
import itertools
import os
import sys
import threading
from collections.abc import Callable, Iterator
from time import perf_counter
from typing import Any
from weakref import ref

import anyio
import pytest
from support.asgi_requests import ask

from pydoudou.contrib.metrics.protection import BulkheadCounts, PlacesUse, protection_readings
from pydoudou.contrib.metrics.served import ServedCounts
from pydoudou.contrib.protection import asgi
from pydoudou.contrib.protection.asgi import Bulkhead
from pydoudou.contrib.protection.once import PerLoop
from pydoudou.contrib.protection.places import LoopPlaces, thread_places

BACKENDS = ["asyncio", "trio"]
ROUNDS = 5000


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(autouse=True)
def _threads_take_turns_all_the_time() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def while_threads(work: Callable[[], object], number: int, meanwhile: Callable[[], object]) -> None:
    """Do `meanwhile` again and again, until all threads have done their work."""
    threads = [threading.Thread(target=work) for _ in range(number)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        meanwhile()
    for thread in threads:
        thread.join()


def answered(counts: ServedCounts) -> dict[tuple[str, ...], float]:
    return {
        labels: value  # type: ignore[misc]
        for family, labels, value in counts.read()
        if family.name == "go_doudou_http_request_count"
    }


def test_no_request_is_lost_though_many_threads_answer_and_one_reads() -> None:
    counts, seen = ServedCounts(), [0.0]

    def answer() -> None:
        for number in range(3000):
            counts.add("GET", "/a" if number % 3 else "/b", 200, 0.001)

    while_threads(answer, 4, lambda: seen.append(sum(answered(counts).values())))
    assert answered(counts) == {("/a", "GET", "200"): 8000, ("/b", "GET", "200"): 4000}
    assert seen == sorted(seen), "a counter never falls"


def test_the_time_of_all_requests_is_added_up() -> None:
    counts = ServedCounts()
    for _ in range(1000):
        counts.add("GET", "", 200, 0.25)
    (told,) = [value for family, _, value in counts.read() if family.name == "go_doudou_http_response_time_seconds"]
    assert (told.count, told.seconds) == (1000, 250.0)  # type: ignore[union-attr]


def test_requests_are_not_kept_one_by_one() -> None:
    class Route:
        path = "/items"

    counts, routes = ServedCounts(), []
    for _ in range(2000):
        route = Route()
        routes.append(ref(route))
        counts.add("GET", route, 200, 0.1)
    del route
    assert sum(each() is not None for each in routes) <= 501
    assert answered(counts) == {("/items", "GET", "200"): 2000}
    assert not any(each() for each in routes)


def held_on_loops(counts: BulkheadCounts, number: int) -> None:
    places = LoopPlaces(number)
    counts.begin(places)
    for _ in range(ROUNDS):
        for _ in range(number):
            assert places.take()
        for _ in range(number):
            places.give_back()


def held_in_threads(counts: BulkheadCounts, number: int) -> None:
    places = thread_places(number, counts)
    for _ in range(ROUNDS):
        taken = [places.get_nowait() for _ in range(number)]
        for place in taken:
            place.enter(perf_counter())
        for place in taken:
            place.give_back(perf_counter())


@pytest.mark.parametrize("hold", [held_on_loops, held_in_threads])
def test_seconds_of_places_never_jump_however_often_they_are_taken_while_somebody_reads(
    hold: Callable[[BulkheadCounts, int], None],
) -> None:
    counts = BulkheadCounts("torn", 4)
    seen = [counts.used()[:2]]

    def look() -> None:
        seen.append(counts.used()[:2])
        assert counts.in_flight >= 0

    while_threads(lambda: hold(counts, 4), 2, look)
    look()
    busy, entered = zip(*seen, strict=True)
    # A read that mixed two states would be wrong by what the clock says, which is hours.
    steps = [after - before for before, after in itertools.pairwise(busy)]
    assert min(steps) > -2
    assert max(steps) < 20
    assert list(entered) == sorted(entered)
    assert (counts.in_flight, entered[-1]) == (0, 2 * ROUNDS * 4)


def test_what_a_bulkhead_counted_outlives_its_event_loops_and_their_places_do_not(
    backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    there: list[ref[LoopPlaces]] = []

    class Places(LoopPlaces):
        def __init__(self, number: int) -> None:
            super().__init__(number)
            there.append(ref(self))

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body"})

    monkeypatch.setattr(asgi, "LoopPlaces", Places)
    bulkhead = Bulkhead(app, 3, name="outlived")
    for number in range(1, 6):
        anyio.run(ask, bulkhead, backend=backend)
        gc.collect()
        assert len(there) == number
        assert sum(each() is not None for each in there) == 1
        told = {family.name: value for family, (name, *_), value in protection_readings() if name == "outlived"}
        assert told["pydoudou_bulkhead_entered_total"] == number
        assert told["pydoudou_bulkhead_in_flight"] == 0


def test_places_that_are_held_when_their_event_loop_is_gone_are_free() -> None:
    now = 100.0
    counts, use = BulkheadCounts("gone", 1, lambda: now), PlacesUse()
    counts.begin(use)
    use.use = 1, -now, 1
    now = 103.0
    assert (counts.in_flight, counts.used()) == (1, (3.0, 1, 0))
    counts.end(use)
    now = 110.0
    assert (counts.in_flight, counts.used()) == (0, (3.0, 1, 0))


def test_what_was_made_for_an_event_loop_is_told_when_that_is_gone(backend: str) -> None:
    made, ended = iter("abc"), []
    per_loop = PerLoop(lambda: next(made), ended.append)

    async def get() -> str:
        assert per_loop.made() is None
        assert per_loop.get() == per_loop.get() == per_loop.made()
        return per_loop.get()

    found = []
    for _ in range(3):
        found.append(anyio.run(get, backend=backend))
        gc.collect()
    assert (found, ended) == (["a", "b", "c"], ["a", "b"])


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_a_forked_process_has_places_of_its_own_and_tells_nothing_of_its_parents(backend: str) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise LookupError("no such item")

    def told() -> tuple[float, ...]:
        anyio.run(ask_in_vain, backend=backend)
        gc.collect()
        values = {family.name: value for family, (name, *_), value in protection_readings() if name == "forked"}
        return tuple(values[f"pydoudou_bulkhead_{each}"] for each in ("in_flight", "entered_total"))  # type: ignore[misc]

    async def ask_in_vain() -> None:
        with pytest.raises(LookupError):
            await ask(bulkhead)

    bulkhead = Bulkhead(app, 1, name="forked")
    assert (told(), told()) == ((0, 1), (0, 2))
    child = os.fork()
    if child == 0:
        as_it_should = False
        try:
            as_it_should = (told(), told()) == ((0, 1), (0, 2))
        finally:
            os._exit(0 if as_it_should else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert told() == (0, 3)


def test_a_forked_process_tells_nothing_of_what_its_parent_answered() -> None:
    counts = ServedCounts()
    counts.add("GET", "/", 200, 0.1)
    counts.forget()  # as `Source` does in a child
    assert answered(counts) == {}
    counts.add("GET", "/", 200, 0.1)
    assert answered(counts) == {("/", "GET", "200"): 1}
