"""The queue of members that may have to be called because they had no call for long."""

from __future__ import annotations

from pydoudou.balancers.memory.member_record import STARVED_AFTER, MemberRecord
from pydoudou.balancers.memory.starved import CALLS_PER_STARVED, StarvedMembers


def called(count: int, *, again: bool = False) -> tuple[StarvedMembers, list[MemberRecord]]:
    """So many members that were called at 100 s, and again at 105 s."""
    starved, records = StarvedMembers(), [MemberRecord(100.0, 100.0, place) for place in range(count)]
    for record in records:
        starved.add(record, 100.0)
        record.called = 105.0 if again else 100.0
    return starved, records


def test_who_was_called_longest_ago_is_next_once_its_time_is_over() -> None:
    starved, records = called(1)
    later = MemberRecord(100.0, 100.0, 1, called=103.0)
    starved.add(later, 103.0)
    assert starved.due(100.0) == 100.0 + STARVED_AFTER
    assert starved.next(100.0 + STARVED_AFTER) is None
    assert starved.next(100.1 + STARVED_AFTER) is records[0]


def test_who_had_a_call_since_goes_back_into_the_queue() -> None:
    starved, records = called(3, again=True)
    assert starved.next(111.0) is None
    assert starved.due(111.0) == 105.0 + STARVED_AFTER
    assert len(starved) == 3
    assert all(record.queued for record in records)


def test_no_call_pays_for_all_that_go_back() -> None:
    starved, _ = called(1000, again=True)
    asked = 0
    while starved.due(111.0) <= 111.0:
        asked += 1
    assert 20 < asked < 100


def test_after_one_such_call_others_come_first() -> None:
    starved, records = called(2)
    assert starved.next(111.0) is records[0]
    assert starved.wait == CALLS_PER_STARVED
    assert starved.next(111.0) is None


def test_who_shares_no_traffic_is_left_out_until_its_next_call() -> None:
    starved, records = called(2)
    records[0].shares = False
    assert starved.next(111.0) is records[1]
    assert not records[0].queued


def test_who_is_forgotten_is_not_held() -> None:
    starved, records = called(3)
    records[1].place = -1
    starved.forget()
    assert len(starved) == 2
