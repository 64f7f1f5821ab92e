"""When a service that several workers serve leaves, and when their registrar ends."""

from __future__ import annotations

import pytest

from pydoudou.contrib.servers.registrar.attendance import Attendance, Verdict

SOON = pytest.approx(0.5)


class Workers:
    """An `Attendance` at a time that the test sets."""

    def __init__(self, *serving: int) -> None:
        self.attendance = Attendance(0.0)
        for number in serving:
            self.attendance.came(number, True)

    def leave(self, *numbers: int, at: float) -> None:
        for number in numbers:
            self.attendance.leaves(number, at)

    def verdict(self, at: float, *, expected: bool = False, replaceable: bool = False) -> Verdict:
        return self.attendance.verdict(at, expected=expected, replaceable=replaceable)


def test_while_everybody_serves_nothing_follows() -> None:
    assert Workers(1, 2).verdict(1.0) == Verdict()


def test_a_worker_that_goes_alone_is_let_go_after_a_moment_and_the_service_stays() -> None:
    workers = Workers(1, 2)
    workers.leave(1, at=10.0)
    assert workers.verdict(10.0) == Verdict(again_after=SOON)
    assert workers.verdict(10.5) == Verdict(release=(1,))
    assert workers.verdict(10.6) == Verdict()
    workers.attendance.gone(1, 11.0)
    assert workers.verdict(11.0) == Verdict()


def test_when_all_go_the_service_leaves_once() -> None:
    workers = Workers(1, 2)
    workers.leave(1, at=10.0)
    assert not workers.verdict(10.0).leave
    workers.leave(2, at=10.3)
    assert workers.verdict(10.3) == Verdict(leave=True)
    assert workers.verdict(10.3) == Verdict()
    assert workers.attendance.left


def test_nobody_is_let_go_by_the_clock_once_the_service_leaves() -> None:
    workers = Workers(1)
    workers.leave(1, at=10.0)
    assert workers.verdict(10.0).leave
    assert workers.verdict(60.0) == Verdict()


def test_when_all_go_and_others_were_started_in_their_place_the_service_stays() -> None:
    workers = Workers(1, 2)
    workers.leave(1, 2, at=10.0)
    assert workers.verdict(10.0, expected=True) == Verdict(again_after=SOON)
    assert workers.verdict(10.5, expected=True).release == (1, 2)
    workers.attendance.came(3, True)
    assert not workers.verdict(11.0).leave


def test_those_who_were_started_and_do_not_come_are_waited_for_ten_seconds() -> None:
    workers = Workers(1)
    workers.leave(1, at=10.0)
    assert not workers.verdict(19.9, expected=True).leave
    assert workers.verdict(20.0, expected=True).leave


def test_the_registrar_ends_when_the_last_worker_is_gone_after_the_service_has_left() -> None:
    workers = Workers(1)
    workers.leave(1, at=10.0)
    workers.verdict(10.0)
    workers.attendance.gone(1, 12.0)
    assert workers.verdict(12.0, replaceable=True).end


def test_the_registrar_stays_for_the_one_that_replaces_a_worker_that_was_killed() -> None:
    workers = Workers(1)
    workers.attendance.gone(1, 10.0)
    assert workers.verdict(10.0, replaceable=True) == Verdict(again_after=SOON)
    workers.attendance.came(2, True)
    assert workers.verdict(25.0) == Verdict()


@pytest.mark.parametrize(("at", "replaceable"), [(20.0, True), (10.0, False)], ids=["nobody came", "nobody can come"])
def test_the_registrar_ends_when_nobody_replaces_the_last_worker(at: float, replaceable: bool) -> None:
    workers = Workers(1)
    workers.attendance.gone(1, 10.0)
    assert workers.verdict(at, replaceable=replaceable).end


def test_the_registrar_waits_for_its_first_worker_and_not_for_ever() -> None:
    workers = Workers()
    assert not workers.verdict(9.9).end
    assert workers.verdict(10.0).end


def test_clients_alone_are_let_go_at_once_and_nothing_leaves_with_them() -> None:
    workers = Workers()
    workers.attendance.came(1, False)
    workers.leave(1, at=5.0)
    assert workers.verdict(5.0) == Verdict(release=(1,))
    assert not workers.attendance.left


def test_a_client_that_stays_keeps_nobody_who_serves() -> None:
    workers = Workers(1)
    workers.attendance.came(2, False)
    workers.leave(1, at=5.0)
    assert workers.verdict(5.0).leave
