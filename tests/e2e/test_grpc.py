"""gRPC to the members of a service, with grpc and grpc.aio, on real servers."""

from __future__ import annotations

import pickle
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from support.certificates import self_signed
from support.grpc_members import CALLERS, AioGrpcCaller, GrpcCaller, GrpcMember, breaking
from support.http_members import GivenMembers, InOrder, black_hole, refusing
from support.waiting import eventually

from pydoudou import CallPolicy, CircuitBreaker, Member, NoMemberAvailable, RoundRobin
from pydoudou.balancers.service_state import state_of
from pydoudou.contrib.grpc import CircuitOpenError, DiscoveryChannel, NoMemberError, attempts_of, member_of
from pydoudou.drivers.members import Reached

Code = grpc.StatusCode
CallerClass = type[GrpcCaller] | type[AioGrpcCaller]
every_client = pytest.mark.parametrize("caller_class", CALLERS, ids=lambda one: one.__doc__)
GET = "/shop.Orders/Get"
TCP = Path("/proc/self/net/tcp6")  # grpc's sockets are of both families


def connections_to(member: GrpcMember) -> int:
    """How many connections the server has."""
    lines = [line.split() for line in TCP.read_text().splitlines()[1:]]
    return sum(int(line[1].rpartition(":")[2], 16) == member.port and line[3] == "01" for line in lines)


@pytest.fixture
def good() -> Iterator[GrpcMember]:
    with GrpcMember() as member:
        member.rest.set()
        yield member


@pytest.fixture
def other() -> Iterator[GrpcMember]:
    with GrpcMember() as member:
        member.rest.set()
        yield member


class Remembering:
    """Members of a service, and what is remembered of them."""

    def __init__(self, *members: Member) -> None:
        self.registry = GivenMembers(*members)

    def balancer(self) -> RoundRobin:
        return RoundRobin("orders", self.registry)

    def seen(self, member: GrpcMember | Member) -> tuple[int, dict[Reached, int], int]:
        """In flight, outcomes, and cancelled ones."""
        one = member if isinstance(member, Member) else member.member()
        state = state_of(self.registry, "orders")
        in_flight, record = state.in_flight(one), state.memory.record(one)
        assert record is not None
        return in_flight, record.outcomes, record.cancelled


@pytest.mark.ability("ejection fed")
@every_client
def test_calls_take_turns_and_tell_who_answered(caller_class: CallerClass, good: GrpcMember, other: GrpcMember) -> None:
    remembering = Remembering(good.member(), other.member())
    with caller_class(remembering.balancer()) as caller:
        calls = [caller.unary() for _ in range(4)]
    assert [answer for answer, _ in calls] == [b"7"] * 4
    members = [member_of(call) for _, call in calls]
    assert members[:2] == members[2:]
    assert {member.port for member in members} == {good.port, other.port}
    assert remembering.seen(good) == remembering.seen(other) == (0, {Reached.ANSWERED: 2}, 0)


@pytest.mark.ability("moves", "trail")
@pytest.mark.parametrize("name", ["Get", "Post"])
@every_client
def test_a_refused_connection_moves_on_whatever_the_method(
    caller_class: CallerClass, good: GrpcMember, name: str
) -> None:
    with refusing() as gone, caller_class(InOrder(gone, good.member()), idempotent=[GET]) as caller:
        answer, call = caller.unary(name)
    assert answer == b"7"
    assert [(attempt.member, bool(attempt.left)) for attempt in attempts_of(call)] == [
        (gone, True),
        (good.member(), False),
    ]


@every_client
def test_a_connection_that_broke_moves_an_idempotent_call(caller_class: CallerClass, good: GrpcMember) -> None:
    with breaking() as bad, caller_class(InOrder(bad, good.member()), idempotent=[GET]) as caller:
        assert member_of(caller.unary("Get")[1]) == good.member()
    with breaking() as bad, caller_class(InOrder(bad, good.member()), idempotent=[GET]) as caller:
        with pytest.raises(grpc.RpcError) as caught:
            caller.unary("Post")
        assert caught.value.code() is Code.UNAVAILABLE
        assert member_of(caught.value) == bad
    assert good.served == ["Get"]


@every_client
def test_unavailable_moves_an_idempotent_call(caller_class: CallerClass, good: GrpcMember, other: GrpcMember) -> None:
    good.codes["Get"] = good.codes["Post"] = Code.UNAVAILABLE, ()
    with caller_class(InOrder(good.member(), other.member()), idempotent=[GET]) as caller:
        assert member_of(caller.unary("Get")[1]) == other.member()
        with pytest.raises(grpc.RpcError, match="said by the server") as caught:
            caller.unary("Post")
    assert [attempt.status for attempt in attempts_of(caught.value)] == [503]
    assert other.served == ["Get"]


@every_client
@pytest.mark.parametrize(("service", "moves"), [("orders", True), ("users", False)])
def test_proof_that_nothing_was_done_moves_every_call(
    caller_class: CallerClass, good: GrpcMember, other: GrpcMember, service: str, moves: bool
) -> None:
    good.codes["Post"] = Code.UNAVAILABLE, (("x-doudou-not-processed", service),)
    with caller_class(InOrder(good.member(), other.member())) as caller:
        if moves:
            assert member_of(caller.unary("Post")[1]) == other.member()
        else:
            with pytest.raises(grpc.RpcError):
                caller.unary("Post")


@pytest.mark.ability("ejection fed")
@every_client
@pytest.mark.parametrize("code", [Code.NOT_FOUND, Code.INTERNAL, Code.RESOURCE_EXHAUSTED, Code.UNKNOWN])
def test_other_codes_are_answers(
    caller_class: CallerClass, good: GrpcMember, other: GrpcMember, code: grpc.StatusCode
) -> None:
    good.codes["Get"] = code, ()
    remembering = Remembering(good.member())
    with caller_class(remembering.balancer(), idempotent=[GET]) as caller, pytest.raises(grpc.RpcError) as caught:
        caller.unary("Get")
    assert caught.value.code() is code
    assert remembering.seen(good) == (0, {Reached.ANSWERED: 1}, 0)


@every_client
def test_a_members_own_deadline_is_its_answer(caller_class: CallerClass, good: GrpcMember) -> None:
    good.codes["Get"] = Code.DEADLINE_EXCEEDED, ()
    remembering = Remembering(good.member())
    with caller_class(remembering.balancer()) as caller, pytest.raises(grpc.RpcError):
        caller.unary("Get", timeout=5)
    assert remembering.seen(good) == (0, {Reached.ANSWERED: 1}, 0)


@every_client
def test_the_callers_timeout_is_final(caller_class: CallerClass, good: GrpcMember) -> None:
    with GrpcMember() as slow:
        remembering = Remembering(slow.member())
        with caller_class(remembering.balancer(), idempotent=["/shop.Orders/Slow"]) as caller:
            with pytest.raises(grpc.RpcError) as caught:
                caller.unary("Slow", timeout=0.3)
        slow.rest.set()
    assert caught.value.code() is Code.DEADLINE_EXCEEDED
    assert remembering.seen(slow) == (0, {Reached.TIMED_OUT: 1}, 0)


@every_client
def test_the_time_of_an_attempt_moves_an_idempotent_call(caller_class: CallerClass, good: GrpcMember) -> None:
    policy = CallPolicy(2, 5.0, attempt_timeout=0.3)
    with GrpcMember() as slow:
        with caller_class(
            InOrder(slow.member(), good.member()), policy=policy, idempotent=["/shop.Orders/Slow"]
        ) as caller:
            assert member_of(caller.unary("Slow")[1]) == good.member()
        slow.rest.set()


@every_client
def test_a_member_that_swallows_packets_leaves_time_for_another(caller_class: CallerClass, good: GrpcMember) -> None:
    started = time.monotonic()
    with black_hole() as hole, caller_class(InOrder(hole, good.member()), attempts=2, deadline=1.0) as caller:
        assert member_of(caller.unary("Post")[1]) == good.member()
    assert 0.4 < time.monotonic() - started < 3


@pytest.mark.ability("deadline")
@every_client
def test_the_deadline_holds_over_all_attempts(caller_class: CallerClass) -> None:
    started = time.monotonic()
    with GrpcMember() as slow:
        with caller_class(InOrder(slow.member()), deadline=0.4) as caller, pytest.raises(grpc.RpcError) as caught:
            caller.unary("Slow")
        slow.rest.set()
    assert caught.value.code() is Code.DEADLINE_EXCEEDED
    assert 0.3 < time.monotonic() - started < 3


@every_client
def test_nobody_to_call_is_unavailable_and_says_why(caller_class: CallerClass) -> None:
    with caller_class(InOrder()) as caller, pytest.raises(NoMemberError) as caught:
        caller.unary()
    assert caught.value.code() is Code.UNAVAILABLE
    assert "nobody is left" in caught.value.details()
    assert isinstance(caught.value.__cause__, NoMemberAvailable)
    assert pickle.loads(pickle.dumps(caught.value)).details() == caught.value.details()


@every_client
@pytest.mark.parametrize("host", ["not a host", "a..b"])
def test_an_address_that_is_none_counts_as_a_refused_connection(
    caller_class: CallerClass, good: GrpcMember, host: str
) -> None:
    with caller_class(InOrder(Member("orders", host, 80), good.member())) as caller:
        assert member_of(caller.unary()[1]) == good.member()


@pytest.mark.ability("breaker")
@every_client
def test_an_open_breaker_lets_nobody_through(caller_class: CallerClass, good: GrpcMember) -> None:
    good.codes["Get"] = Code.INTERNAL, ()
    policy = CallPolicy(1, breaker=CircuitBreaker(least_calls=4, open_for=60))
    with caller_class(Remembering(good.member()).balancer(), policy=policy) as caller:
        for _ in range(4):
            with pytest.raises(grpc.RpcError, match="said by"):
                caller.unary()
        with pytest.raises(CircuitOpenError):
            caller.unary()
    assert len(good.served) == 4


@pytest.mark.ability("budget")
@every_client
def test_the_retry_budget_holds(caller_class: CallerClass, good: GrpcMember, other: GrpcMember) -> None:
    good.codes["Get"] = Code.UNAVAILABLE, ()
    policy = CallPolicy(retry_ratio=0.0, retry_reserve=0.0)
    with caller_class(InOrder(good.member(), other.member()), policy=policy, idempotent=[GET]) as caller:
        with pytest.raises(grpc.RpcError, match="said by the server"):
            caller.unary()
    assert other.served == []


@pytest.mark.ability("retry-after")
@every_client
def test_a_member_that_asks_to_wait_is_called_again_after_that(caller_class: CallerClass, good: GrpcMember) -> None:
    good.first_codes["Get"] = Code.UNAVAILABLE, (("retry-after", "1"),)
    started = time.monotonic()
    with caller_class(InOrder(good.member()), deadline=5.0, idempotent=[GET]) as caller:
        assert caller.unary()[0] == b"7"
    assert time.monotonic() - started >= 1
    assert good.served == ["Get", "Get"]


@pytest.mark.ability("cancellation", client="grpc-aio")
def test_cancelling_a_call_cancels_its_attempt() -> None:
    with GrpcMember() as slow:
        remembering = Remembering(slow.member())
        with AioGrpcCaller(remembering.balancer()) as caller:
            caller.cancelled(0.2)
        slow.rest.set()
    assert remembering.seen(slow) == (0, {}, 1)


# -- streams -----------------------------------------------------------------------------------------------------------


@every_client
def test_a_stream_of_answers_moves_until_there_is_a_connection(caller_class: CallerClass, good: GrpcMember) -> None:
    with refusing() as gone:
        remembering = Remembering(gone, good.member())
        with caller_class(remembering.balancer()) as caller:
            for _ in range(2):
                answers, call = caller.watch(timeout=5)
                assert answers == [b"one", b"two"]
                assert member_of(call) == good.member()
        eventually(lambda: remembering.seen(good) == (0, {Reached.ANSWERED: 2}, 0))
        assert remembering.seen(gone) == (0, {Reached.UNCONNECTED: 1}, 0)


@pytest.mark.ability("streaming down", "http2")
@every_client
def test_answers_of_a_stream_come_as_they_are_made(caller_class: CallerClass) -> None:
    with GrpcMember() as member, caller_class(InOrder(member.member())) as caller:
        # The second answer is not made before somebody has the first.
        answers, _ = caller.watch(first=member.rest, timeout=5)
    assert answers == [b"one", b"two"]


@pytest.mark.ability("streaming up")
@every_client
def test_a_stream_of_requests_is_sent_once(caller_class: CallerClass, good: GrpcMember) -> None:
    with refusing() as gone, caller_class(InOrder(gone, good.member())) as caller:
        assert caller.upload(b"one ", b"two") == b"one two"
    assert good.served == ["Upload"]


@every_client
def test_streams_both_ways(caller_class: CallerClass, good: GrpcMember) -> None:
    remembering = Remembering(good.member())
    with caller_class(remembering.balancer()) as caller:
        assert caller.chat(b"one", b"two") == [b"one", b"two"]
        eventually(lambda: remembering.seen(good) == (0, {Reached.ANSWERED: 1}, 0))


@every_client
def test_a_stream_that_fails_is_an_outcome(caller_class: CallerClass, good: GrpcMember) -> None:
    good.codes["Watch"] = Code.UNAVAILABLE, ()
    remembering = Remembering(good.member())
    with caller_class(remembering.balancer()) as caller:
        with pytest.raises(grpc.RpcError, match="said by the server"):
            caller.watch()
        eventually(lambda: remembering.seen(good) == (0, {Reached.ANSWERED: 1}, 0))


def test_a_future_is_a_call_to_one_member(good: GrpcMember) -> None:
    remembering = Remembering(good.member())
    with GrpcCaller(remembering.balancer()) as caller:
        future = caller.channel.unary_unary(GET).future(b"7")
        assert future.result(5) == b"7"
        eventually(lambda: remembering.seen(good) == (0, {Reached.ANSWERED: 1}, 0))


# -- channels ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for the name of the service, and its key, in one file."""
    return self_signed("orders", tmp_path_factory.mktemp("tls") / "orders.pem")


@pytest.mark.ability("tls")
@every_client
def test_a_member_is_known_by_the_name_of_the_service(caller_class: CallerClass, certificate: Path) -> None:
    credentials = grpc.ssl_channel_credentials(certificate.read_bytes())
    with GrpcMember(certificate) as member:
        with caller_class(InOrder(member.member(scheme="https")), credentials=credentials) as caller:
            assert caller.unary()[0] == b"7"


@every_client
def test_a_certificate_for_another_name_is_refused(caller_class: CallerClass, tmp_path: Path) -> None:
    wrong = self_signed("users", tmp_path / "users.pem")
    credentials = grpc.ssl_channel_credentials(wrong.read_bytes())
    with GrpcMember(wrong) as member:
        with caller_class(InOrder(member.member()), credentials=credentials, deadline=2.0) as caller:
            with pytest.raises(grpc.RpcError) as caught:
                caller.unary()
    assert caught.value.code() is Code.UNAVAILABLE
    assert member.served == []


@every_client
def test_a_member_that_restarted_is_found_again(caller_class: CallerClass, good: GrpcMember) -> None:
    with GrpcMember() as gone:
        gone.rest.set()
        members = InOrder(gone.member(), good.member())
        with caller_class(members, idempotent=[GET]) as caller:
            assert member_of(caller.unary()[1]) == gone.member()
            gone.stop()
            assert member_of(caller.unary()[1]) == good.member()


@pytest.mark.skipif(not TCP.exists(), reason="needs /proc")
@every_client
def test_the_channels_of_members_that_left_are_closed_when_they_are_not_used(
    caller_class: CallerClass, good: GrpcMember, other: GrpcMember
) -> None:
    registry = GivenMembers(good.member())
    with caller_class(RoundRobin("orders", registry)) as caller:
        caller.unary()
        assert connections_to(good) == 1
        registry.change(other.member())

        def closed() -> bool:
            assert member_of(caller.unary()[1]) == other.member()
            return connections_to(good) == 0

        eventually(closed)
        registry.change(good.member())
        assert member_of(caller.unary()[1]) == good.member()


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"service": ""}, TypeError),
        ({"idempotent": "/a/B"}, ValueError),
        ({"idempotent": ["Get"]}, ValueError),
        ({"policy": CallPolicy(), "attempts": 1}, ValueError),
        ({"balancer": 3}, TypeError),
    ],
    ids=str,
)
def test_what_cannot_work_is_refused_when_it_is_made(options: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error, match="accepted"):
        DiscoveryChannel(**{"service": "orders", **options})


@every_client
def test_a_policy_can_be_changed_while_the_channel_is_used(caller_class: CallerClass, good: GrpcMember) -> None:
    with refusing() as gone, caller_class(InOrder(gone, good.member()), attempts=1) as caller:
        with pytest.raises(grpc.RpcError):
            caller.unary()
        caller.channel.policy = CallPolicy(2)
        assert caller.unary()[0] == b"7"
        assert caller.channel.policy.attempts == 2
