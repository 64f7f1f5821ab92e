"""From a full list to what changed, and what a list does not mean right after a reconnect."""

from __future__ import annotations

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydoudou import Member, MemberState
from pydoudou.drivers.kit.listing import Listing

A, B = Member("orders", "10.0.0.1", 1, node="a"), Member("orders", "10.0.0.2", 1, node="b")


def told(reports: list[Member]) -> list[tuple[str, MemberState]]:
    return [(report.host, report.state) for report in reports]


@pytest.fixture
def listing() -> Listing:
    listing = Listing()
    assert told(listing.listed([A, B])) == [("10.0.0.1", MemberState.ALIVE), ("10.0.0.2", MemberState.ALIVE)]
    return listing


def test_only_what_changed_is_reported(listing: Listing) -> None:
    heavier = attrs.evolve(A, weight=2.0)
    assert listing.listed([heavier, B]) == [heavier]
    assert listing.listed([heavier, B]) == []
    assert listing.members == (heavier, B)


def test_who_is_not_listed_any_more_is_gone(listing: Listing) -> None:
    assert told(listing.listed([A])) == [("10.0.0.2", MemberState.FAILED)]
    assert len(listing) == 1
    left = Listing(gone=MemberState.LEFT)
    left.listed([A])
    assert told(left.listed([])) == [("10.0.0.1", MemberState.LEFT)]


def test_two_processes_behind_one_address_are_told_apart_by_their_names(listing: Listing) -> None:
    other = attrs.evolve(A, node="a2")
    assert listing.listed([A, other, B]) == [other]
    assert listing.listed([other, B]) == [attrs.evolve(A, state=MemberState.FAILED)]


def test_after_a_reconnect_nobody_is_gone_before_being_listed_once(listing: Listing) -> None:
    listing.reconnected()
    assert listing.listed([], waits=True) == []
    assert listing.listed([A], waits=True) == []
    assert told(listing.listed([], waits=True)) == [("10.0.0.1", MemberState.FAILED)]
    assert told(listing.expire()) == [("10.0.0.2", MemberState.FAILED)]
    assert listing.expire() == []


def test_everybody_leaves_a_list_that_nobody_asks_for(listing: Listing) -> None:
    assert told(listing.withdraw()) == [("10.0.0.1", MemberState.LEFT), ("10.0.0.2", MemberState.LEFT)]
    assert len(listing) == 0


_MEMBERS = st.lists(st.builds(Member, st.just("s"), st.sampled_from("abcd"), st.just(1), weight=st.integers(0, 2)))


@given(st.lists(_MEMBERS, max_size=8))
def test_whoever_applies_the_reports_one_by_one_arrives_at_the_last_list(lists: list[list[Member]]) -> None:
    listing, view = Listing(), dict[str, Member]()
    for members in lists:
        for report in listing.listed(members):
            if report.state.present:
                view[report.host] = report
            else:
                del view[report.host]
        assert view == {member.host: member for member in members}
