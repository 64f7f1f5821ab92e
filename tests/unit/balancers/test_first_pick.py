"""What the first pick after a change of the members costs, in calls of functions: seconds depend on what else the
machine does. What goes over all members there does so without a call for each, so that the number hardly grows.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from types import FrameType

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.http_members import GivenMembers
from support.scripted import ScriptedPlugin, settings

from pydoudou import (
    LeastLatency,
    LeastPending,
    Member,
    MemberState,
    Registry,
    RoundRobin,
    SmoothWeighted,
    WeightedRandom,
)
from pydoudou.balancers import TableBalancer
from pydoudou.balancers.memory.service_memory import ServiceMemory
from pydoudou.balancers.surroundings import Surroundings

Make = Callable[..., TableBalancer[object]]
EVERY = pytest.mark.parametrize("make", [RoundRobin, WeightedRandom, SmoothWeighted, LeastPending, LeastLatency])


class Timed(GivenMembers, Surroundings):
    """A view in virtual time."""

    now = 100.0

    def __init__(self, *members: Member) -> None:
        super().__init__(*members)
        self.clock = lambda: self.now


def members(count: int) -> list[Member]:
    return [Member("orders", "10.0.0.1", 1 + n, weight=1 + n % 100) for n in range(count)]


def calls(of: Callable[[], object]) -> int:
    """How many functions written in Python it calls, each time that a generator goes on too."""
    found = 0

    def note(frame: FrameType, event: str, argument: object) -> None:
        nonlocal found
        found += event == "call"

    sys.setprofile(note)
    try:
        of()
    finally:
        sys.setprofile(None)
    return found


def calls_after_a_change(make: Make, count: int, later: float) -> int:
    """Of the first pick after one of so many members went and another came, so many seconds after the first pick."""
    given = members(count)
    view = Timed(*given)
    balancer = make("orders", view)
    balancer.pick()
    view.now += later
    view.change(*given[1:], attrs.evolve(given[0], port=count + 1))
    return calls(balancer.pick)


@EVERY
@pytest.mark.parametrize("later", [1.0, 500.0], ids=["all known", "the other one new"])
def test_the_first_pick_after_a_change_makes_no_call_for_each_member(make: Make, later: float) -> None:
    few, many = calls_after_a_change(make, 100, later), calls_after_a_change(make, 1_000, later)
    assert many - few < 100, f"{few} calls with 100 members, {many} with 1,000"


def test_a_registry_shows_one_tuple_of_members_as_candidates_too_while_all_are_alive() -> None:
    alive = members(3)
    plugin = ScriptedPlugin(members=alive)
    with Registry(settings(plugin)) as registry:
        shown = registry.snapshot("orders")
        assert shown.candidates is shown.members
        plugin.report(attrs.evolve(alive[1], state=MemberState.SUSPECT))
        shown = registry.snapshot("orders")
        assert [member.port for member in shown.candidates] == [1, 3]


A_VIEW = st.lists(st.tuples(st.integers(1, 6), st.booleans()), unique_by=lambda item: item[0], max_size=6)


@given(st.lists(st.tuples(A_VIEW, st.booleans()), max_size=6))
def test_whatever_view_follows_another_each_member_has_its_own_record(
    views: Sequence[tuple[list[tuple[int, bool]], bool]],
) -> None:
    """Members go, come and are replaced by objects of the same address; views are in order, or not."""
    memory = ServiceMemory()
    shown = {port: Member("orders", "10.0.0.1", port) for port in range(1, 7)}
    first_seen: dict[int, object] = {}
    for now, (ports, ordered) in enumerate(views):
        for port, anew in ports:
            if anew:
                shown[port] = attrs.evolve(shown[port], weight=now + 2)
        view = tuple(shown[port] for port, _ in (sorted(ports) if ordered else ports))
        memory.see(view, float(now))
        records = memory.records(view, float(now))
        assert [record.member for record in records] == list(view)
        assert all(memory.record(member) is record for member, record in zip(view, records, strict=True))
        assert all(first_seen.setdefault(m.port, r) is r for m, r in zip(view, records, strict=True))
        for port, member in shown.items():
            record = memory.record(member)
            assert record is None or record.present is (port in dict(ports))
