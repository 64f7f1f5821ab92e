"""What a reader of the view can rely on."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.scripted import member

from pydoudou import EventKind, Member, MemberState
from pydoudou.discovery.merging.events import MemberEvent, coalesced
from pydoudou.discovery.merging.view import MergedView


@pytest.fixture
def view() -> MergedView:
    return MergedView(("a", "b"), {"a": 10.0, "b": 30.0})


def test_members_are_ordered_by_host_and_port(view: MergedView) -> None:
    view.observe("a", [member("10.0.0.2"), member("10.0.0.1", port=2), member("10.0.0.1", port=1)], 0.0)
    assert [m.address for m in view.snapshot("orders").members] == ["10.0.0.1:1", "10.0.0.1:2", "10.0.0.2:6060"]


def test_a_snapshot_is_the_same_object_until_its_service_changes(view: MergedView) -> None:
    view.observe("a", [member()], 0.0)
    before = view.snapshot("orders")
    view.observe("a", [member(), member(service="users")], 1.0)
    view.authoritative("b", False, "away", 2.0)
    assert view.snapshot("orders") is before
    view.observe("a", [member(weight=2)], 3.0)
    assert view.snapshot("orders") is not before


def test_a_batch_of_reports_makes_one_snapshot_and_one_event_for_each_member(view: MergedView) -> None:
    events = view.observe("a", [member(f"10.0.0.{n}") for n in range(5)], 0.0)
    assert [event.kind for event in events] == [EventKind.JOINED] * 5


def test_a_service_that_nobody_offers_has_an_empty_snapshot_which_is_always_the_same(view: MergedView) -> None:
    empty = view.snapshot("orders")
    assert (empty.service, empty.members, empty.candidates) == ("orders", (), ())
    assert view.snapshot("orders") is empty


def test_the_absence_of_a_service_is_stale_while_no_driver_is_authoritative(view: MergedView) -> None:
    assert not view.snapshot("orders").stale
    view.authoritative("a", False, "away", 1.0)
    assert not view.snapshot("orders").stale
    view.authoritative("b", False, "away", 2.0)
    assert view.snapshot("orders").stale
    view.authoritative("b", True, "", 3.0)
    assert not view.snapshot("orders").stale


def test_asking_for_any_number_of_unknown_services_keeps_a_bounded_number_of_them(view: MergedView) -> None:
    for n in range(5000):
        view.snapshot(f"service-{n}")
    assert view.held()["absent services"] <= 1024


def test_the_v2_name_of_a_service_finds_the_plain_one(view: MergedView) -> None:
    view.observe("a", [member()], 0.0)
    assert view.snapshot("orders_rest") is view.snapshot("orders")


def test_a_service_whose_plain_name_ends_like_a_v2_name_is_found_first(view: MergedView) -> None:
    view.observe("a", [member(), member(service="orders_rest")], 0.0)
    assert view.snapshot("orders_rest").members[0].service == "orders_rest"


def test_services_without_members_are_not_listed(view: MergedView) -> None:
    view.observe("a", [member(), member(service="users")], 0.0)
    view.observe("a", [member(state=MemberState.LEFT)], 1.0)
    assert [snapshot.service for snapshot in view.snapshots()] == ["users"]


def test_the_names_of_the_services_are_the_same_object_until_one_comes_or_goes(view: MergedView) -> None:
    view.observe("a", [member(), member(service="users")], 0.0)
    names = view.services()
    view.observe("a", [member(weight=2), member("10.0.0.2")], 1.0)
    assert view.services() is names
    assert names == ("orders", "users")
    view.observe("a", [member(service="users", state=MemberState.LEFT)], 2.0)
    assert view.services() == ("orders",)


def test_a_view_that_everybody_has_left_holds_nothing(view: MergedView) -> None:
    view.observe("a", [member(f"10.0.0.{n}") for n in range(5)], 0.0)
    view.observe("b", [member(f"10.0.0.{n}") for n in range(5)], 0.0)
    view.observe("a", [member(f"10.0.0.{n}", state=MemberState.FAILED) for n in range(5)], 1.0)
    view.observe("b", [member(f"10.0.0.{n}", state=MemberState.FAILED) for n in range(5)], 2.0)
    view.observe("b", [member("10.0.0.99", state=MemberState.FAILED)], 2.0)
    assert view.next_deadline() is None
    assert set(view.held().values()) == {0}


def test_the_number_of_reports_tells_withdrawn_members_too(view: MergedView) -> None:
    view.observe("a", [member("10.0.0.1"), member("10.0.0.2")], 0.0)
    view.observe("b", [member("10.0.0.1")], 0.0)
    view.observe("a", [member("10.0.0.1", state=MemberState.FAILED)], 0.0)
    assert view.reported("orders") == {"a": 1, "b": 1}


# -- events ------------------------------------------------------------------------------------------------------------


Members = dict[tuple[str, str, int], Member]


def applied(events: list[MemberEvent], members: Members) -> Members:
    """`members` after `events`, each of which must fit what it is applied to."""
    members = dict(members)
    for event in events:
        assert (event.previous is None) == (event.kind is EventKind.JOINED)
        assert (event.previous is None) == (event.member.key not in members)
        if event.kind is EventKind.LEFT:
            assert not event.member.state.present
            del members[event.member.key]
        else:
            members[event.member.key] = event.member
    return members


def noticed(members: Iterable[Member]) -> dict[str, tuple[MemberState, float]]:
    """What of `members` is told by events."""
    return {m.address: (m.state, m.weight) for m in members}


reports = st.builds(
    lambda host, node, state, weight: member(f"10.0.0.{host}", node=node, state=state, weight=weight),
    st.integers(1, 3),
    st.sampled_from("xy"),
    st.sampled_from(MemberState),
    st.sampled_from([1.0, 2.0]),
)
modes = st.sampled_from("ab")
changes = st.one_of(
    st.builds(lambda mode, members: ("observe", mode, members), modes, st.lists(reports, min_size=1, max_size=4)),
    st.builds(lambda mode, able: ("authoritative", mode, able, ""), modes, st.booleans()),
    st.builds(lambda mode: ("died", mode, ""), modes),
    st.just(("expire",)),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 20), changes), max_size=30))
def test_whatever_happens_the_events_tell_what_the_view_shows(script: list[tuple[float, tuple[Any, ...]]]) -> None:
    view = MergedView(("a", "b"), {"a": 10.0, "b": 30.0})
    told: Members = {}
    now = 0.0
    for passed, (change, *arguments) in script:
        now += passed
        told = applied(getattr(view, change)(*arguments, now), told)
        snapshots = view.snapshots()
        assert noticed(told.values()) == noticed(m for snapshot in snapshots for m in snapshot.members)
        assert all(snapshot.candidates for snapshot in snapshots)
        deadline = view.next_deadline()
        assert deadline is None or deadline > now


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(modes, st.lists(reports, min_size=1, max_size=4)), max_size=12), st.integers(0, 12))
def test_coalesced_events_lead_from_any_moment_to_the_same_members_with_one_event_each(
    script: list[tuple[str, list[Member]]], seen: int
) -> None:
    view = MergedView(("a", "b"), {"a": 10.0, "b": 30.0})
    batches = [view.observe(mode, members, float(now)) for now, (mode, members) in enumerate(script)]
    before = applied([event for batch in batches[:seen] for event in batch], {})
    rest = [event for batch in batches[seen:] for event in batch]
    folded = coalesced(rest)
    assert applied(folded, before) == applied(rest, before)
    assert len({event.member.key for event in folded}) == len(folded)
