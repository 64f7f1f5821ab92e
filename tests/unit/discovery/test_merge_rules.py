"""The rules by which two backends become one view, each with its times.

``fast`` notices a failure within 10 s, ``slow`` within 30 s.
"""

from __future__ import annotations

import math
from typing import Any

import attrs
import pytest
from support.scripted import member

from pydoudou import EventKind, Member, MemberEvent, MemberState
from pydoudou.discovery.merging.view import MergedView

ALIVE, SUSPECT, FAILED, LEFT = MemberState.ALIVE, MemberState.SUSPECT, MemberState.FAILED, MemberState.LEFT
BOUNDS = {"fast": 10.0, "slow": 30.0, "never": math.inf}


class Scene:
    """A view of two drivers, ``fast`` and ``slow``, and a clock that the test moves."""

    def __init__(self, *modes: str) -> None:
        self.view = MergedView(modes or ("fast", "slow"), BOUNDS)
        self.now = 1000.0
        self.events: list[MemberEvent] = []

    def hears(self, mode: str, state: MemberState, *members: Member) -> None:
        reports = [attrs.evolve(report, state=state) for report in members or (member(),)]
        self.events += self.view.observe(mode, reports, self.now)

    def authoritative(self, mode: str, yes: bool) -> None:
        self.events += self.view.authoritative(mode, yes, "" if yes else "cut off", self.now)

    def dies(self, mode: str) -> None:
        self.events += self.view.died(mode, "crashed", self.now)

    def passes(self, seconds: float) -> None:
        """Let time pass, and wake the view whenever it asked for it and only then."""
        end = self.now + seconds
        while (deadline := self.view.next_deadline()) is not None and deadline <= end:
            self.now = max(self.now, deadline)
            self.events += self.view.expire(self.now)
        self.now = end

    @property
    def shown(self) -> MemberState | None:
        """The state in which the view shows the one member, None if it does not."""
        members = self.view.snapshot("orders").members
        return members[0].state if members else None

    @property
    def sources(self) -> tuple[str, ...]:
        return self.view.snapshot("orders").members[0].sources

    @property
    def stale(self) -> bool:
        return self.view.snapshot("orders").stale

    @property
    def kinds(self) -> list[EventKind]:
        return [event.kind for event in self.events]


@pytest.fixture
def scene() -> Scene:
    return Scene()


@pytest.fixture
def agreed(scene: Scene) -> Scene:
    """Both drivers have reported the member."""
    scene.hears("fast", ALIVE)
    scene.hears("slow", ALIVE)
    scene.events.clear()
    return scene


def test_the_view_knows_since_when_a_member_is_in_its_state(scene: Scene) -> None:
    host, address = "10.0.0.1", ("10.0.0.1", 6060)
    scene.hears("fast", ALIVE, member(host))
    seen = scene.view.snapshot("orders")
    assert seen.since == {address: 1000.0}
    scene.passes(5)
    scene.hears("fast", ALIVE, member(host, weight=3.0))
    assert seen.since == {address: 1000.0}
    scene.hears("fast", SUSPECT, member(host))
    assert scene.view.snapshot("orders").since == {address: 1005.0}
    scene.hears("fast", FAILED, member(host))
    assert seen.since == {}


# -- 1: any driver can add ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["fast", "slow"])
def test_a_member_that_one_driver_reports_is_in_the_view(scene: Scene, mode: str) -> None:
    scene.hears(mode, ALIVE)
    assert scene.shown is ALIVE
    assert scene.sources == (mode,)


def test_a_member_that_both_report_is_there_once_with_its_sources_in_the_order_of_the_modes(scene: Scene) -> None:
    scene.hears("slow", ALIVE)
    scene.hears("fast", ALIVE)
    assert len(scene.view.snapshot("orders").members) == 1
    assert scene.sources == ("fast", "slow")


def test_that_a_second_driver_found_the_member_too_is_no_event(scene: Scene) -> None:
    scene.hears("slow", ALIVE)
    scene.hears("fast", ALIVE, member(node="another name", data={"another": "view"}))
    assert scene.kinds == [EventKind.JOINED]


def test_a_member_that_both_lose_is_gone_with_one_event(agreed: Scene) -> None:
    agreed.hears("fast", FAILED)
    agreed.hears("slow", FAILED)
    assert agreed.shown is None
    assert agreed.kinds == [EventKind.LEFT]


def test_what_the_first_driver_does_not_know_of_a_member_is_taken_from_the_second(scene: Scene) -> None:
    scene.hears("fast", ALIVE)
    scene.hears("slow", ALIVE, member(data={"zone": "a"}))
    assert scene.view.snapshot("orders").members[0].data == {"zone": "a"}


# -- 2: bad news wins while it is fresh --------------------------------------------------------------------------------


@pytest.mark.parametrize("news", [FAILED, LEFT])
def test_a_member_that_one_driver_loses_is_withdrawn_although_the_other_lists_it(
    agreed: Scene, news: MemberState
) -> None:
    agreed.hears("fast", news)
    assert agreed.shown is None
    assert [(event.kind, event.member.state) for event in agreed.events] == [(EventKind.LEFT, news)]


def test_a_member_that_one_driver_suspects_is_shown_as_a_suspect(agreed: Scene) -> None:
    agreed.hears("fast", SUSPECT)
    assert agreed.shown is SUSPECT
    assert agreed.kinds == [EventKind.UPDATED]


@pytest.mark.parametrize(("first", "bound"), [("fast", 30.0), ("slow", 10.0)])
@pytest.mark.parametrize("news", [SUSPECT, FAILED, LEFT])
def test_it_returns_when_the_other_would_have_noticed_by_itself_and_still_lists_it(
    agreed: Scene, first: str, bound: float, news: MemberState
) -> None:
    agreed.hears(first, news)
    agreed.passes(bound - 0.001)
    assert agreed.shown is (SUSPECT if news is SUSPECT else None)
    agreed.passes(0.001)
    assert agreed.shown is ALIVE


def test_it_returns_at_once_when_the_driver_that_withdrew_it_sees_it_healthy(agreed: Scene) -> None:
    agreed.hears("fast", FAILED)
    agreed.passes(1)
    agreed.hears("fast", ALIVE)
    assert agreed.shown is ALIVE
    assert agreed.sources == ("fast", "slow")


def test_it_stays_away_when_the_other_driver_loses_it_too(agreed: Scene) -> None:
    agreed.hears("slow", FAILED)
    agreed.passes(3)
    agreed.hears("fast", FAILED)
    agreed.passes(1000)
    assert agreed.kinds == [EventKind.LEFT]


def test_the_other_drivers_repetition_does_not_bring_it_back(agreed: Scene) -> None:
    agreed.hears("slow", FAILED)
    agreed.hears("fast", ALIVE, member(weight=5))
    assert agreed.shown is None


def test_a_suspicion_that_becomes_a_failure_is_one_piece_of_news_with_one_date(agreed: Scene) -> None:
    agreed.hears("fast", SUSPECT)
    agreed.passes(20)
    agreed.hears("fast", FAILED)
    assert agreed.shown is None
    agreed.passes(10)
    assert agreed.shown is ALIVE


def test_a_failure_is_no_news_when_the_suspicion_has_expired(agreed: Scene) -> None:
    agreed.hears("fast", SUSPECT)
    agreed.passes(31)
    agreed.hears("fast", FAILED)
    assert agreed.shown is ALIVE
    assert agreed.sources == ("slow",)


def test_a_leave_is_news_even_when_the_suspicion_has_expired(agreed: Scene) -> None:
    agreed.hears("fast", SUSPECT)
    agreed.passes(31)
    agreed.hears("fast", LEFT)
    assert agreed.shown is None


def test_a_new_failure_after_a_recovery_has_a_date_of_its_own(agreed: Scene) -> None:
    agreed.hears("fast", SUSPECT)
    agreed.passes(29)
    agreed.hears("fast", ALIVE)
    agreed.hears("fast", FAILED)
    agreed.passes(29)
    assert agreed.shown is None


def test_a_failure_of_a_member_that_the_driver_never_had_is_no_news(scene: Scene) -> None:
    scene.hears("slow", ALIVE)
    scene.hears("fast", FAILED)
    assert scene.shown is ALIVE


def test_a_driver_that_listed_the_member_in_vain_is_believed_when_it_loses_the_member_later(agreed: Scene) -> None:
    agreed.hears("slow", FAILED)
    agreed.passes(10)
    assert agreed.shown is ALIVE
    agreed.hears("fast", FAILED)
    assert agreed.shown is None


def test_alone_a_driver_is_believed_for_ever() -> None:
    scene = Scene("fast")
    scene.hears("fast", ALIVE)
    scene.hears("fast", SUSPECT)
    assert scene.view.next_deadline() is None
    assert scene.shown is SUSPECT


def test_two_processes_behind_one_address_are_one_member_until_both_are_gone() -> None:
    scene = Scene("fast")
    scene.hears("fast", ALIVE, member(node="worker-1"), member(node="worker-2"))
    scene.hears("fast", FAILED, member(node="worker-1"))
    assert scene.shown is ALIVE
    scene.hears("fast", LEFT, member(node="worker-2"))
    assert scene.shown is None
    assert scene.kinds == [EventKind.JOINED, EventKind.LEFT]


def test_the_data_of_a_restarted_process_replaces_that_of_the_one_that_is_not_yet_known_to_be_dead() -> None:
    scene = Scene("fast")
    scene.hears("fast", ALIVE, member(node="old", data={"version": "1"}))
    scene.hears("fast", ALIVE, member(node="new", data={"version": "2"}))
    assert scene.view.snapshot("orders").members[0].data == {"version": "2"}


# -- 3: a driver that is not authoritative removes nobody --------------------------------------------------------------


def test_a_driver_that_is_not_authoritative_removes_nothing(agreed: Scene) -> None:
    agreed.authoritative("fast", False)
    agreed.hears("fast", FAILED)
    agreed.passes(1000)
    assert agreed.shown is ALIVE
    assert agreed.events == []


def test_alone_a_driver_that_is_not_authoritative_keeps_its_last_view_marked_stale() -> None:
    scene = Scene("fast")
    scene.hears("fast", ALIVE)
    scene.authoritative("fast", False)
    scene.hears("fast", FAILED)
    scene.passes(1000)
    assert scene.shown is ALIVE
    assert scene.stale


def test_the_view_is_not_stale_while_another_authoritative_driver_lists_everybody(agreed: Scene) -> None:
    agreed.authoritative("slow", False)
    assert not agreed.stale
    agreed.authoritative("fast", False)
    assert agreed.stale
    agreed.authoritative("slow", True)
    assert not agreed.stale


def test_it_is_stale_as_soon_as_one_member_is_known_from_nobody_else(agreed: Scene) -> None:
    agreed.hears("slow", ALIVE, member("10.0.0.2"))
    agreed.authoritative("slow", False)
    assert agreed.stale


def test_when_both_are_cut_off_the_last_view_stays(agreed: Scene) -> None:
    agreed.hears("fast", SUSPECT)
    agreed.authoritative("slow", False)
    agreed.authoritative("fast", False)
    agreed.hears("fast", FAILED)
    agreed.hears("slow", FAILED)
    agreed.passes(1000)
    assert agreed.shown is SUSPECT
    assert agreed.stale


def test_a_withdrawal_ends_when_the_driver_behind_it_is_not_authoritative_any_more(agreed: Scene) -> None:
    agreed.hears("fast", FAILED)
    agreed.authoritative("fast", False)
    assert agreed.shown is ALIVE


def test_a_driver_that_is_not_authoritative_outweighs_no_failure(agreed: Scene) -> None:
    agreed.authoritative("slow", False)
    agreed.hears("fast", FAILED)
    agreed.passes(1000)
    assert agreed.shown is None


def test_a_driver_that_is_authoritative_again_counts_only_after_it_had_time_to_notice(agreed: Scene) -> None:
    agreed.authoritative("slow", False)
    agreed.hears("fast", FAILED)
    agreed.passes(1000)
    agreed.authoritative("slow", True)
    agreed.passes(29)
    assert agreed.shown is None
    agreed.passes(1)
    assert agreed.shown is ALIVE


def test_a_driver_that_is_not_authoritative_still_adds_new_members(scene: Scene) -> None:
    scene.authoritative("fast", False)
    scene.hears("fast", ALIVE)
    assert scene.shown is ALIVE
    assert scene.stale


def test_a_suspect_that_only_a_driver_without_authority_knows_is_better_than_nobody(scene: Scene) -> None:
    scene.authoritative("fast", False)
    scene.hears("fast", SUSPECT)
    assert scene.shown is SUSPECT


def test_bad_news_from_a_cut_counts_when_it_was_not_taken_back_in_time_after_the_cut(scene: Scene) -> None:
    scene.hears("fast", ALIVE)
    scene.authoritative("fast", False)
    scene.hears("fast", FAILED)
    scene.passes(60)
    scene.authoritative("fast", True)
    scene.passes(9.999)
    assert scene.shown is ALIVE
    scene.passes(0.001)
    assert scene.shown is None


def test_bad_news_from_a_cut_is_forgotten_when_the_member_is_reported_alive_after_it(scene: Scene) -> None:
    scene.hears("fast", ALIVE)
    scene.authoritative("fast", False)
    scene.hears("fast", FAILED)
    scene.authoritative("fast", True)
    scene.hears("fast", ALIVE)
    scene.passes(1000)
    assert scene.kinds == [EventKind.JOINED]


def test_bad_news_from_a_cut_waits_for_the_end_of_a_second_cut(scene: Scene) -> None:
    scene.hears("fast", ALIVE)
    scene.authoritative("fast", False)
    scene.hears("fast", FAILED)
    scene.authoritative("fast", True)
    scene.passes(5)
    scene.authoritative("fast", False)
    scene.passes(1000)
    assert scene.shown is ALIVE


def test_bad_news_right_after_a_cut_is_believed_at_once(scene: Scene) -> None:
    scene.hears("fast", ALIVE)
    scene.authoritative("fast", False)
    scene.authoritative("fast", True)
    scene.hears("fast", FAILED)
    assert scene.shown is None


def test_a_suspicion_from_before_a_cut_is_news_again_when_it_is_repeated_after_it(agreed: Scene) -> None:
    agreed.hears("fast", SUSPECT)
    agreed.authoritative("fast", False)
    assert agreed.shown is ALIVE
    agreed.passes(60)
    agreed.authoritative("fast", True)
    agreed.hears("fast", SUSPECT)
    assert agreed.shown is SUSPECT


def test_a_driver_that_died_leaves_its_members_behind_as_stale(scene: Scene) -> None:
    scene.hears("fast", ALIVE)
    scene.dies("fast")
    scene.passes(1000)
    assert scene.shown is ALIVE
    assert scene.stale


def test_what_a_restarted_driver_does_not_confirm_is_gone_after_its_bound(scene: Scene) -> None:
    scene.hears("fast", ALIVE, member("10.0.0.1"), member("10.0.0.2"))
    scene.dies("fast")
    scene.hears("fast", ALIVE, member("10.0.0.2"))
    scene.authoritative("fast", True)
    scene.passes(10)
    assert [kept.host for kept in scene.view.snapshot("orders").members] == ["10.0.0.2"]


def test_what_a_restarted_driver_does_not_confirm_stays_if_another_lists_it(agreed: Scene) -> None:
    agreed.dies("slow")
    agreed.authoritative("slow", True)
    agreed.passes(1000)
    assert agreed.shown is ALIVE
    assert agreed.sources == ("fast",)
    assert agreed.events == []


# -- 4: weight ---------------------------------------------------------------------------------------------------------


def weight_of(modes: tuple[str, ...], **reports: Member) -> float:
    view = MergedView(modes, dict.fromkeys(modes, 10.0))
    for mode, report in reports.items():
        view.observe(mode, [report], 0.0)
    return view.snapshot("orders").members[0].weight


@pytest.mark.parametrize("modes", [("memberlist", "nacos"), ("nacos", "memberlist")])
def test_a_dynamic_weight_comes_first(modes: tuple[str, ...]) -> None:
    gossip = member(weight=7, dynamic_weight=True)
    assert weight_of(modes, memberlist=gossip, nacos=member(weight=3)) == 7


def test_a_dynamic_weight_comes_first_whichever_driver_measures_it() -> None:
    measured = member(weight=7, dynamic_weight=True)
    assert weight_of(("memberlist", "other"), memberlist=member(weight=2, announced_weight=True), other=measured) == 7


@pytest.mark.parametrize("modes", [("memberlist", "nacos"), ("nacos", "memberlist")])
def test_the_weight_that_a_service_announces_comes_before_what_a_server_has_on_record(modes: tuple[str, ...]) -> None:
    assert weight_of(modes, memberlist=member(weight=2, announced_weight=True), nacos=member(weight=3)) == 2


def test_a_servers_weight_counts_for_a_member_that_announces_none() -> None:
    assert weight_of(("memberlist", "nacos"), nacos=member(weight=3)) == 3


@pytest.mark.parametrize(
    "change", [{"weight": 4}, {"data": {"zone": "b"}}, {"root_path": "/v2"}, {"node": "successor"}]
)
def test_a_change_of_what_a_driver_says_is_an_event(scene: Scene, change: dict[str, Any]) -> None:
    scene.hears("fast", ALIVE)
    scene.hears("fast", ALIVE, member(**change))
    assert scene.kinds == [EventKind.JOINED, EventKind.UPDATED]
    assert scene.events[-1].previous == scene.events[0].member


# -- 5: the last resort ------------------------------------------------------------------------------------------------


def test_suspects_are_no_candidates_while_somebody_is_alive(scene: Scene) -> None:
    scene.hears("fast", ALIVE, member("10.0.0.1"), member("10.0.0.2"))
    scene.hears("fast", SUSPECT, member("10.0.0.1"))
    snapshot = scene.view.snapshot("orders")
    assert [candidate.host for candidate in snapshot.candidates] == ["10.0.0.2"]
    assert len(snapshot.members) == 2


def test_the_suspects_are_the_candidates_when_nobody_is_alive(scene: Scene) -> None:
    scene.hears("fast", SUSPECT, member("10.0.0.1"), member("10.0.0.2"))
    assert len(scene.view.snapshot("orders").candidates) == 2


# -- detection bounds --------------------------------------------------------------------------------------------------


def test_a_driver_that_never_notices_anything_never_outweighs_bad_news() -> None:
    scene = Scene("fast", "never")
    scene.hears("fast", ALIVE)
    scene.hears("never", ALIVE)
    scene.hears("fast", FAILED)
    assert scene.view.next_deadline() is None
    scene.passes(1e9)
    assert scene.shown is None


def test_a_driver_that_never_notices_anything_confirms_after_a_restart_without_a_deadline() -> None:
    scene = Scene("never")
    scene.hears("never", ALIVE)
    scene.dies("never")
    scene.authoritative("never", True)
    assert scene.view.next_deadline() is None


@pytest.mark.parametrize(("before", "after"), [(30.0, 3.0), (math.inf, 3.0), (3.0, 60.0)])
def test_a_changed_bound_counts_for_bad_news_that_is_in_force(before: float, after: float) -> None:
    scene = Scene("fast", "slow")
    scene.events += scene.view.detects_within("slow", before, scene.now)
    scene.hears("fast", ALIVE)
    scene.hears("slow", ALIVE)
    scene.hears("fast", FAILED)
    scene.passes(1)
    scene.events += scene.view.detects_within("slow", after, scene.now)
    scene.passes(after - 1.001)
    assert scene.shown is None
    scene.passes(0.001)
    assert scene.shown is ALIVE
