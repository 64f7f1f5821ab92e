"""What the balancers' memory hears of calls through every HTTP client: when each attempt ended, and how."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator

import pytest
from support.http_callers import CALLERS, CANCELLABLE, Caller, RequestsCaller
from support.http_members import GivenMembers, HttpMember, half_an_answer, hang_up, in_two_pieces, refusing, silent
from support.waiting import eventually

from pydoudou import Member, RoundRobin
from pydoudou.balancers.memory.member_record import MemberRecord
from pydoudou.balancers.service_state import state_of
from pydoudou.drivers.members import Reached

CallerClass = type[Caller]
every_client = pytest.mark.parametrize("caller_class", CALLERS, ids=lambda one: one.__doc__)


class Remembered:
    """A registry of given members, and what is remembered of them."""

    def __init__(self, *members: Member) -> None:
        self.registry = GivenMembers(*members)

    def balancer(self) -> RoundRobin:
        return RoundRobin("orders", self.registry)

    def of(self, member: Member) -> MemberRecord:
        state = state_of(self.registry, "orders")
        state.in_flight(member)
        record = state.memory.record(member)
        assert record is not None
        return record


@pytest.fixture
def member() -> Iterator[HttpMember]:
    with HttpMember() as server:
        yield server


@every_client
def test_an_answer_that_was_read_is_a_complete_outcome(caller_class: CallerClass, member: HttpMember) -> None:
    remembered = Remembered(member.member())
    with caller_class(remembered.balancer()) as caller:
        for method in ("GET", "HEAD", "POST"):
            caller.call(method)
        record = remembered.of(member.member())
    assert (record.in_flight, record.outcomes, record.incomplete) == (0, {Reached.ANSWERED: 3}, 0)


@pytest.mark.ability("ejection fed")
@every_client
def test_a_failed_attempt_is_an_outcome_of_the_member_that_failed(
    caller_class: CallerClass, member: HttpMember
) -> None:
    with refusing() as gone:
        remembered = Remembered(gone, member.member())
        with caller_class(remembered.balancer()) as caller:
            for _ in range(4):
                caller.call()
        assert remembered.of(gone).outcomes == {Reached.UNCONNECTED: 2}
    assert remembered.of(gone).in_flight == 0
    assert remembered.of(member.member()).outcomes == {Reached.ANSWERED: 4}


@every_client
def test_a_connection_that_broke_and_an_answer_that_did_not_come_are_told_apart(caller_class: CallerClass) -> None:
    for behaviour, reached in ((hang_up, Reached.BROKEN), (silent, Reached.TIMED_OUT)):
        with HttpMember(answer=behaviour) as bad:
            remembered = Remembered(bad.member())
            with caller_class(remembered.balancer()) as caller, pytest.raises((caller.broken, caller.timed_out)):
                caller.call("POST", timeout=0.3)
            assert remembered.of(bad.member()).outcomes == {reached: 1}
            assert remembered.of(bad.member()).in_flight == 0


@every_client
def test_an_answer_that_breaks_off_is_incomplete(caller_class: CallerClass) -> None:
    with HttpMember(answer=half_an_answer) as bad:
        remembered = Remembered(bad.member())
        with (
            caller_class(remembered.balancer()) as caller,
            pytest.raises(Exception, match=r"(?i)incomplete|peer closed|not completed"),
        ):
            caller.call()
        record = remembered.of(bad.member())
    assert (record.in_flight, record.outcomes, record.incomplete) == (0, {Reached.ANSWERED: 1}, 1)


def test_a_request_that_cannot_be_sent_to_anybody_says_nothing_about_a_member(member: HttpMember) -> None:
    remembered = Remembered(member.member())
    with RequestsCaller(remembered.balancer()) as caller, pytest.raises(ValueError, match="timeout"):
        caller.session.get("http://orders/", timeout=(1, 2, 3))  # type: ignore[arg-type]
    record = remembered.of(member.member())
    assert (record.in_flight, record.outcomes, record.cancelled) == (0, {}, 1)


@every_client
def test_a_call_is_in_flight_until_the_body_ends(caller_class: CallerClass) -> None:
    rest = threading.Event()
    with HttpMember(answer=in_two_pieces(rest)) as member:
        remembered = Remembered(member.member())
        with caller_class(remembered.balancer()) as caller:
            with caller.opened() as answer:
                assert remembered.of(member.member()).in_flight == 1
                rest.set()
                assert answer.read() == b"0123456789abcdefghij"
                assert remembered.of(member.member()).in_flight == 0
            rest.clear()
            with caller.opened():
                pass
            rest.set()
        record = remembered.of(member.member())
    assert (record.in_flight, record.outcomes, record.incomplete) == (0, {Reached.ANSWERED: 2}, 1)


@pytest.mark.ability("cancellation")
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("caller_class", CANCELLABLE, ids=lambda one: one.__doc__)
def test_a_cancelled_call_is_not_in_flight_and_says_nothing_about_the_member(
    caller_class: CallerClass, backend: str
) -> None:
    if backend != "asyncio" and not caller_class.has_backends:
        pytest.skip("runs on asyncio only")
    with HttpMember(answer=silent) as member:
        remembered = Remembered(member.member())
        with caller_class(remembered.balancer(), backend=backend) as caller:
            caller.cancelled(after=0.2)
        record = remembered.of(member.member())
    assert (record.in_flight, record.outcomes, record.cancelled) == (0, {}, 1)


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@every_client
def test_an_answer_that_is_dropped_is_not_in_flight_any_more(caller_class: CallerClass, member: HttpMember) -> None:
    remembered = Remembered(member.member())
    with caller_class(remembered.balancer()) as caller:
        caller.dropped()

        def collected() -> bool:
            gc.collect()
            return remembered.of(member.member()).in_flight == 0

        eventually(collected)
        record = remembered.of(member.member())
    assert (record.outcomes, record.incomplete) == ({Reached.ANSWERED: 1}, 0 if caller.reads_ahead else 1)
