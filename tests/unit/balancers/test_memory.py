"""What is remembered of members: as plain values first, then by balancers that read one registry."""

from __future__ import annotations

import gc
import logging
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import attrs
import pytest
from support.http_members import GivenMembers
from support.scripted import ScriptedPlugin, settings

from pydoudou import Member, MemberState, Registry, RoundRobin, SmoothWeighted
from pydoudou.balancers.calls.call import Call
from pydoudou.balancers.calls.policy import CallPolicy
from pydoudou.balancers.memory.pick import Pick, PickedFrom
from pydoudou.balancers.memory.service_memory import MAX_GONE, REMEMBERED_AFTER_GOING, ServiceMemory
from pydoudou.balancers.service_state import ServiceState, state_of
from pydoudou.balancers.surroundings import Surroundings
from pydoudou.discovery.observer import Observer
from pydoudou.drivers.members import Outcome, Reached

A, B, C = (Member("orders", "10.0.0.1", port) for port in (1, 2, 3))


def answered(member: Member, complete: bool = True) -> Outcome:
    return Outcome(member, Reached.ANSWERED, 200, 0.1, 0.2, complete)


@pytest.fixture
def memory() -> ServiceMemory:
    return ServiceMemory()


def begin(memory: ServiceMemory, member: Member, now: float = 100.0) -> Pick:
    return Pick(member, PickedFrom(memory=memory), *memory.begin(member, now))


def test_an_attempt_is_in_flight_until_its_end_is_counted(memory: ServiceMemory) -> None:
    first, second = begin(memory, A), begin(memory, A)
    record = memory.record(A)
    assert record is not None
    assert record.in_flight == 2
    first.done(answered(A))
    second.done(Outcome(A, Reached.BROKEN))
    memory.settle(200.0)
    assert record.in_flight == 0
    assert record.outcomes == {Reached.ANSWERED: 1, Reached.BROKEN: 1}


def test_only_the_first_end_of_an_attempt_counts(memory: ServiceMemory) -> None:
    pick = begin(memory, A)
    pick.done(answered(A))
    pick.done(answered(A))
    pick.cancel()
    del pick
    memory.settle(200.0)
    record = memory.record(A)
    assert record is not None
    assert (record.in_flight, record.outcomes, record.cancelled) == (0, {Reached.ANSWERED: 1}, 0)


def test_a_cancelled_attempt_says_nothing_about_the_member(memory: ServiceMemory) -> None:
    begin(memory, A).cancel()
    memory.settle(200.0)
    record = memory.record(A)
    assert record is not None
    assert (record.in_flight, record.outcomes, record.cancelled) == (0, {}, 1)


def test_an_answer_that_was_not_read_to_its_end_is_told_apart(memory: ServiceMemory) -> None:
    begin(memory, A).done(answered(A, complete=False))
    memory.settle(200.0)
    record = memory.record(A)
    assert record is not None
    assert record.incomplete == 1


@pytest.mark.parametrize(("head", "outcomes"), [((200, 0.1), {Reached.ANSWERED: 1}), (None, {})])
def test_a_dropped_attempt_ends_when_it_is_collected(
    memory: ServiceMemory, head: tuple[int, float] | None, outcomes: dict[Reached, int]
) -> None:
    pick = begin(memory, A)
    if head is not None:
        pick.answered(*head)
    del pick
    gc.collect()
    assert len(memory.ended) == 1
    memory.settle(200.0)
    record = memory.record(A)
    assert record is not None
    assert (record.in_flight, record.outcomes) == (0, outcomes)


@pytest.mark.parametrize("status", [200, 404, 429, 500, 503])
def test_an_answer_that_is_told_as_a_whole_counts_like_one_that_is_told_in_two_steps(status: int) -> None:
    def counted(tell: Callable[[Pick], None]) -> dict[str, Any]:
        memory = ServiceMemory()
        pick = begin(memory, A)
        pick.started = 100.0
        tell(pick)
        memory.settle(101.0)
        record = memory.record(A)
        assert record is not None
        return {**attrs.asdict(record, recurse=False, filter=attrs.filters.exclude("window")), "head": pick.head}

    def in_steps(pick: Pick) -> None:
        assert pick.answered(status, 100.5)
        pick.ended(100.5, True)

    assert counted(lambda pick: pick.answered_whole(status, 100.5)) == counted(in_steps)


def test_an_observer_hears_of_an_answer_that_is_told_as_a_whole(observed: tuple[RoundRobin, Noting]) -> None:
    balancer, noting = observed
    pick = balancer.begin(exclude=[B])
    pick.answered_whole(200, pick.started + 0.1)
    assert noting.heard[-1] == ("call ended", "orders", 1, Reached.ANSWERED)


def test_a_member_is_remembered_while_it_is_away_for_a_while(memory: ServiceMemory) -> None:
    memory.see([A, B], 100.0)
    memory.see([B], 110.0)
    memory.see([A, B], 110.0 + REMEMBERED_AFTER_GOING - 11.0)
    record = memory.record(A)
    assert record is not None
    assert record.first_seen == 100.0


def test_a_member_that_is_long_gone_is_forgotten(memory: ServiceMemory) -> None:
    memory.see([A, B], 100.0)
    memory.see([B], 101.0 + REMEMBERED_AFTER_GOING)
    assert memory.record(A) is None
    assert memory.record(B) is not None


def test_of_members_that_went_the_last_are_remembered(memory: ServiceMemory) -> None:
    members = [Member("orders", "10.0.0.1", port) for port in range(1, MAX_GONE + 12)]
    for place, member in enumerate(members):
        memory.see([member], 100.0 + place / 1000)
    memory.see([C], 110.0)
    assert len(memory) == MAX_GONE + 1
    assert memory.record(members[5]) is None
    assert memory.record(members[-1]) is not None


# -- shared by the balancers of a process ------------------------------------------------------------------------------


@pytest.fixture
def registry() -> GivenMembers:
    return GivenMembers(A, B)


def test_all_balancers_that_read_a_registry_share_what_is_remembered(registry: GivenMembers) -> None:
    picks = [make("orders", registry).begin(exclude=[B]) for make in (RoundRobin, SmoothWeighted)]
    assert state_of(registry, "orders").in_flight(A) == 2
    for pick in picks:
        pick.done(answered(A))
    assert state_of(registry, "orders").in_flight(A) == 0


def test_what_is_remembered_outlives_snapshots_and_balancers(registry: GivenMembers) -> None:
    RoundRobin("orders", registry).begin(exclude=[B]).done(answered(A))
    registry.change(attrs.evolve(A, weight=2.0), B)
    RoundRobin("orders", registry).begin(exclude=[B]).done(answered(A))
    state = state_of(registry, "orders")
    assert state.in_flight(A) == 0
    record = state.memory.record(A)
    assert record is not None
    assert record.outcomes == {Reached.ANSWERED: 2}


def test_registries_do_not_share_what_they_remember(registry: GivenMembers) -> None:
    other = GivenMembers(A)
    pick = RoundRobin("orders", other).begin()
    assert pick.member == A
    assert state_of(registry, "orders").in_flight(A) == 0


def test_a_table_is_made_anew_when_the_epoch_changes(registry: GivenMembers) -> None:
    made = []

    class Counting(RoundRobin):
        def make_table(self, members: object, weights: object) -> tuple[Member, ...]:
            made.append(members)
            return (A,)

    balancer = Counting("orders", registry)
    balancer.pick()
    balancer.pick()
    assert len(made) == 1
    state_of(registry, "orders").memory.epoch += 1
    balancer.pick()
    balancer.pick()
    assert len(made) == 2


def test_a_suspect_that_is_tried_last_is_remembered_too(registry: GivenMembers) -> None:
    suspect = attrs.evolve(B, state=MemberState.SUSPECT)
    registry.change(A, suspect, candidates=(A,))
    RoundRobin("orders", registry).begin(exclude=[A]).done(answered(suspect))
    state = state_of(registry, "orders")
    assert state.in_flight(B) == 0
    record = state.memory.record(B)
    assert record is not None
    assert record.outcomes == {Reached.ANSWERED: 1}


@pytest.fixture
def switching_all_the_time() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("switching_all_the_time")
def test_threads_that_begin_and_end_attempts_leave_none_in_flight() -> None:
    registry = GivenMembers(A, B, C)

    def call(number: int) -> None:
        balancer = RoundRobin("orders", registry)
        for turn in range(300):
            pick = balancer.begin()
            if turn % 10 == 0:
                registry.change(A, B, attrs.evolve(C, weight=1.0 + turn))
            if turn % 3 == 0:
                pick.done(answered(pick.member))
            elif turn % 3 == 1:
                pick.cancel()

    threads = [threading.Thread(target=call, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    gc.collect()
    state: ServiceState = state_of(registry, "orders")
    assert [state.in_flight(member) for member in (A, B, C)] == [0, 0, 0]
    records = [record for record in map(state.memory.record, (A, B, C)) if record]
    assert sum(record.outcomes.get(Reached.ANSWERED, 0) for record in records) == 8 * 100
    assert sum(record.cancelled for record in records) == 8 * 200


# -- and told to observers ---------------------------------------------------------------------------------------------


class Noting(Observer):
    """What it was told, in order."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str, int, object]] = []

    def picked(self, service: str, member: Member) -> None:
        self.heard.append(("picked", service, member.port, None))

    def attempt_failed(self, service: str, outcome: Outcome) -> None:
        self.heard.append(("attempt failed", service, outcome.member.port, outcome.reached))

    def call_ended(self, service: str, outcome: Outcome) -> None:
        self.heard.append(("call ended", service, outcome.member.port, outcome.reached))


@pytest.fixture
def registered() -> Iterator[Registry]:
    with Registry(settings(ScriptedPlugin(members=[A, B]))) as registry:
        yield registry


@pytest.fixture
def observed(registered: Registry) -> tuple[RoundRobin, Noting]:
    registered.add_observer(noting := Noting())
    return RoundRobin("orders", registered), noting


def test_observers_are_told_of_picks_and_of_how_they_ended(observed: tuple[RoundRobin, Noting]) -> None:
    balancer, noting = observed
    balancer.pick(exclude=[B])
    balancer.begin(exclude=[B]).done(answered(A))
    balancer.begin(exclude=[A]).done(Outcome(B, Reached.UNCONNECTED))
    balancer.begin(exclude=[A]).cancel()
    assert noting.heard == [
        ("picked", "orders", 1, None),
        ("picked", "orders", 1, None),
        ("call ended", "orders", 1, Reached.ANSWERED),
        ("picked", "orders", 2, None),
        ("attempt failed", "orders", 2, Reached.UNCONNECTED),
        ("call ended", "orders", 2, Reached.UNCONNECTED),
        ("picked", "orders", 2, None),
    ]


@pytest.mark.parametrize("attempts", [2, 3])
def test_a_call_over_two_members_is_two_failed_attempts_and_one_end(
    observed: tuple[RoundRobin, Noting], attempts: int
) -> None:
    balancer, noting = observed
    call = Call(CallPolicy(attempts), balancer, "GET", "http://orders/", True, 0.0, logging.getLogger("pydoudou.tests"))
    first = call.first(0.0)
    second = call.next(first, Reached.UNCONNECTED, OSError(), 0.0)
    assert second is not None
    assert call.next(second, Reached.BROKEN, OSError(), 0.0) is None
    assert [(what, reached) for what, _, _, reached in noting.heard] == [
        ("picked", None),
        ("attempt failed", Reached.UNCONNECTED),
        ("picked", None),
        ("attempt failed", Reached.BROKEN),
        ("call ended", Reached.BROKEN),
    ]


def test_an_answer_that_was_dropped_is_told_with_the_next_call(observed: tuple[RoundRobin, Noting]) -> None:
    balancer, noting = observed
    pick = balancer.begin(exclude=[B])
    pick.answered(200, pick.started + 0.1)
    del pick
    gc.collect()
    assert len(noting.heard) == 1
    balancer.begin(exclude=[A]).cancel()
    assert ("call ended", "orders", 1, Reached.ANSWERED) in noting.heard


def test_nobody_is_told_once_the_observer_is_gone(registered: Registry, observed: tuple[RoundRobin, Noting]) -> None:
    balancer, noting = observed
    balancer.pick()
    registered.remove_observer(noting)
    balancer.pick()
    balancer.begin().done(answered(A))
    assert len(noting.heard) == 1


# -- lateness of this process itself -----------------------------------------------------------------------------------


class Doubting(GivenMembers, Surroundings):
    """A registry that notes what it is asked and told."""

    def __init__(self, *members: Member) -> None:
        super().__init__(*members)
        self.asked, self.late, self.probed = 0, [], []  # type: ignore[var-annotated]

    def doubt(self) -> str:
        self.asked += 1
        return ""

    def note_lateness(self, seconds: float) -> None:
        self.late.append(seconds)

    def probe(self, member: Member) -> None:
        self.probed.append(member)


def timed_out(pick: Pick, limit: float, seconds: float) -> None:
    pick.answer_limit = limit
    pick.done(Outcome(pick.member, Reached.TIMED_OUT, seconds=seconds))


def test_a_timeout_that_comes_late_makes_the_process_doubt_itself_and_has_nobody_probed() -> None:
    registry = Doubting(A, B)
    balancer = RoundRobin("orders", registry)
    first, second = balancer.begin(), balancer.begin()
    timed_out(first, 0.2, 0.25)
    assert (registry.late, registry.probed) == ([], [first.member])
    timed_out(second, 0.2, 0.5)
    assert (registry.late, registry.probed) == ([pytest.approx(0.3)], [first.member])


def test_failures_that_end_with_a_late_timeout_are_not_held_against_members_even_if_they_came_first() -> None:
    balancer = RoundRobin("orders", GivenMembers(A))
    picks = [balancer.begin() for _ in range(8)]
    for pick in picks[:-1]:
        timed_out(pick, 0.2, 0.25)
    timed_out(picks[-1], 0.2, 0.5)
    balancer.begin().cancel()
    assert balancer.state is not None
    assert balancer.state.memory.health.counts == {"failures_in_doubt": 8}


def test_a_thread_that_calls_is_watched_before_a_call_has_failed_and_asks_now_and_then() -> None:
    registry = Doubting(A, B)
    balancer = RoundRobin("orders", registry)
    for _ in range(100):
        balancer.begin().cancel()
    assert registry.asked == 1
    other = threading.Thread(target=lambda: balancer.begin().cancel())
    other.start()
    other.join()
    assert registry.asked == 2


def test_a_balancer_with_a_pick_of_its_own_is_asked_by_it_for_calls_too(registry: GivenMembers) -> None:
    class Sticky(RoundRobin):
        def pick(self, exclude: object = ()) -> Member:
            return A

    sticky, usual = Sticky("orders", registry), RoundRobin("orders", registry)
    assert {sticky.begin().member for _ in range(4)} == {A}
    assert {usual.begin().member for _ in range(4)} == {A, B}


def test_calls_that_begin_in_many_threads_are_all_counted(registry: GivenMembers) -> None:
    balancer, usual = RoundRobin("orders", registry), sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as threads:
            all_begun = threads.map(lambda _: [balancer.begin() for _ in range(2000)], range(8))
            picks = [pick for begun in all_begun for pick in begun]
    finally:
        sys.setswitchinterval(usual)
    state = state_of(registry, "orders")
    assert sum(state.memory.loads.pending) == sum(state.in_flight(member) for member in (A, B)) == len(picks) == 16000
    for pick in picks:
        pick.answered_whole(200, pick.started)
    assert sum(state.memory.loads.pending) == sum(state.in_flight(member) for member in (A, B)) == 0
