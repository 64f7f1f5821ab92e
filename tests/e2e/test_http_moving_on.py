"""A call whose member fails, through every HTTP client, on real sockets: when it moves on and when it must not."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

import attrs
import pytest
from support.http_callers import CALLERS, Caller
from support.http_members import (
    Behaviour,
    HttpMember,
    InOrder,
    black_hole,
    half_an_answer,
    hang_up,
    refusing,
    reset,
    silent,
)

from pydoudou import Member, NoMemberAvailable, RegistryStateError

pytestmark = pytest.mark.parametrize("caller_class", CALLERS, ids=lambda one: one.__doc__)
CallerClass = type[Caller]


@pytest.fixture
def good() -> Iterator[HttpMember]:
    with HttpMember("good") as member:
        yield member


class Stopwatch:
    """Measures the seconds in a `with` block."""

    def __enter__(self) -> Stopwatch:
        self.seconds = -time.monotonic()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds += time.monotonic()


def parts() -> Iterator[bytes]:
    yield b"one "
    yield b"two"


@pytest.mark.ability("moves")
@pytest.mark.parametrize("method", ["GET", "POST", "PATCH"])
def test_a_refused_connection_moves_on_whatever_the_method(
    caller_class: CallerClass, good: HttpMember, method: str
) -> None:
    with refusing() as gone, caller_class(InOrder(gone, good.member())) as caller:
        answer = caller.call(method)
    assert (answer.status, answer.member) == (200, good.member())


def test_a_generator_body_arrives_whole_after_a_refused_connection(caller_class: CallerClass, good: HttpMember) -> None:
    with refusing() as gone, caller_class(InOrder(gone, good.member())) as caller:
        caller.call("POST", content=parts())
    assert [request.body for request in good.served] == [b"one two"]


@pytest.mark.ability("moves")
@pytest.mark.parametrize("failure", [reset, hang_up])
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"])
def test_an_idempotent_request_without_an_answer_moves_on(
    caller_class: CallerClass, good: HttpMember, method: str, failure: Behaviour
) -> None:
    with HttpMember("bad", answer=failure) as bad:
        with caller_class(InOrder(bad.member(), good.member())) as caller:
            answer = caller.call(method, content=b"body" if method == "PUT" else None)
        assert len(bad.served) == 1
    assert answer.member == good.member()
    assert [request.body for request in good.served] == [b"body" if method == "PUT" else b""]


@pytest.mark.parametrize("failure", [reset, hang_up])
@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_a_request_that_must_not_act_twice_stays_where_it_was_sent(
    caller_class: CallerClass, good: HttpMember, method: str, failure: Behaviour
) -> None:
    with (
        HttpMember("bad", answer=failure) as bad,
        caller_class(InOrder(bad.member(), good.member())) as caller,
        pytest.raises(caller.broken),
    ):
        caller.call(method, content=b"body")
    assert good.served == []


def test_a_generator_body_is_never_sent_a_second_time(caller_class: CallerClass, good: HttpMember) -> None:
    with (
        HttpMember("bad", answer=hang_up) as bad,
        caller_class(InOrder(bad.member(), good.member())) as caller,
        pytest.raises(caller.broken),
    ):
        caller.call("PUT", content=parts())
    assert good.served == []


def test_an_answer_that_breaks_off_is_not_asked_for_again(caller_class: CallerClass, good: HttpMember) -> None:
    with (
        HttpMember("bad", answer=half_an_answer) as bad,
        caller_class(InOrder(bad.member(), good.member())) as caller,
        # requests on urllib3 1.26 does not notice.
        contextlib.suppress(caller_class.library_error),
    ):
        caller.call()
    assert len(bad.served) == 1
    assert good.served == []


@pytest.mark.parametrize("status", [500, 429, 404, 505])
def test_any_other_status_is_an_answer(caller_class: CallerClass, good: HttpMember, status: int) -> None:
    with (
        HttpMember("busy", answer=lambda handler: handler.reply(status)) as busy,
        caller_class(InOrder(busy.member(), good.member())) as caller,
    ):
        assert caller.call().status == status
    assert good.served == []


def test_no_more_members_are_tried_than_attempts(caller_class: CallerClass, good: HttpMember) -> None:
    with (
        refusing() as one,
        refusing() as two,
        caller_class(InOrder(one, two, good.member()), attempts=2) as caller,
        pytest.raises(caller.connection_error),
    ):
        caller.call()
    assert good.served == []


def test_the_failure_of_the_last_member_is_the_outcome_when_nobody_is_left(caller_class: CallerClass) -> None:
    with refusing() as gone, caller_class(InOrder(gone)) as caller, pytest.raises(caller.connection_error) as caught:
        caller.call()
    assert not isinstance(caught.value.__cause__, NoMemberAvailable)


def test_an_error_names_the_request_that_the_caller_made(caller_class: CallerClass) -> None:
    with refusing() as gone, caller_class(InOrder(gone)) as caller, pytest.raises(caller.connection_error) as caught:
        caller.call()
    if caller_class.errors_name_requests:
        assert caught.value.request.url == "http://orders/items"  # type: ignore[attr-defined]


def test_nobody_to_call_is_a_connection_error_with_the_reason_as_its_cause(caller_class: CallerClass) -> None:
    with caller_class(InOrder()) as caller, pytest.raises(caller.connection_error, match="nobody is left") as caught:
        caller.call()
    assert isinstance(caught.value.__cause__, NoMemberAvailable)


def test_members_that_swallow_packets_leave_time_for_one_that_answers(
    caller_class: CallerClass, good: HttpMember
) -> None:
    with (
        black_hole() as one,
        black_hole() as two,
        caller_class(InOrder(one, two, good.member()), deadline=1.5) as caller,
        Stopwatch() as taken,
    ):
        caller.call(timeout=None)
    assert len(good.served) == 1
    assert 0.9 < taken.seconds < 2.5


@pytest.mark.ability("deadline")
def test_the_deadline_holds_over_all_attempts(caller_class: CallerClass) -> None:
    with (
        black_hole() as one,
        black_hole() as two,
        caller_class(InOrder(one, two), attempts=2, deadline=1.2) as caller,
        Stopwatch() as taken,
        pytest.raises(caller.timed_out),
    ):
        caller.call()
    assert 1.1 < taken.seconds < 2 * 1.2 - 0.1


def test_a_connect_timeout_of_the_caller_is_kept(caller_class: CallerClass, good: HttpMember) -> None:
    with black_hole() as hole, caller_class(InOrder(hole, good.member())) as caller, Stopwatch() as taken:
        caller.call(timeout=0.3)
    assert len(good.served) == 1
    assert 0.25 < taken.seconds < 5  # without it: a third of the 30 s for all connecting


@pytest.mark.ability("deadline")
def test_the_deadline_ends_the_wait_for_an_answer(caller_class: CallerClass) -> None:
    with (
        HttpMember(answer=silent) as member,
        caller_class(InOrder(member.member()), deadline=0.4) as caller,
        Stopwatch() as taken,
        pytest.raises(caller.timed_out),
    ):
        caller.call()
    assert 0.3 < taken.seconds < 4


def test_an_answer_that_takes_too_long_is_not_asked_for_elsewhere(caller_class: CallerClass, good: HttpMember) -> None:
    with (
        HttpMember(answer=silent) as slow,
        caller_class(InOrder(slow.member(), good.member())) as caller,
        pytest.raises(caller.timed_out),
    ):
        caller.call(timeout=0.3)
    assert good.served == []


@pytest.mark.parametrize("host", ["not a host", "[", "a\x00b"])
def test_a_host_that_is_none_counts_as_a_refused_connection(
    caller_class: CallerClass, good: HttpMember, host: str
) -> None:
    with caller_class(InOrder(Member("orders", host, 80), good.member())) as caller:
        assert caller.call().member == good.member()


@pytest.mark.parametrize("deadline", [1e-9, 1e-6, 2e-5, 1e-4])
def test_a_deadline_that_is_over_at_once_is_the_timeout_of_the_library(
    caller_class: CallerClass, good: HttpMember, deadline: float
) -> None:
    with caller_class(InOrder(good.member()), deadline=deadline) as caller, pytest.raises(caller.timed_out):
        caller.call("POST")


@pytest.mark.parametrize(
    "fields",
    [{"host": "a" * 64}, {"host": "a..b"}, {"host": ""}, {"root_path": "/\ud800"}, {"port": 0}, {"port": 65536}],
    ids=str,
)
def test_a_member_that_no_request_can_be_sent_to_counts_as_a_refused_connection(
    caller_class: CallerClass, good: HttpMember, fields: dict[str, object]
) -> None:
    unusable = attrs.evolve(Member("orders", "127.0.0.1", 1), **fields)  # type: ignore[arg-type]
    with caller_class(InOrder(unusable, good.member())) as caller:
        assert caller.call("POST", content=b"body").member == good.member()
    with caller_class(InOrder(unusable)) as caller, pytest.raises(caller.library_error):
        caller.call("POST", content=b"body")


def test_the_only_member_may_use_all_of_the_time_to_connect(caller_class: CallerClass) -> None:
    with (
        black_hole() as hole,
        caller_class(InOrder(hole), deadline=0.9) as caller,
        Stopwatch() as taken,
        pytest.raises(caller.timed_out),
    ):
        caller.call()
    assert 0.8 < taken.seconds < 4


def test_the_line_about_a_move_holds_no_secret_of_the_url(
    caller_class: CallerClass, good: HttpMember, caplog: pytest.LogCaptureFixture
) -> None:
    with refusing() as gone, caller_class(InOrder(gone, good.member())) as caller, caplog.at_level("INFO", "pydoudou"):
        caller.call(url="http://orders/items?token=SECRET")
    lines = [record.getMessage() for record in caplog.records if record.name.startswith("pydoudou.contrib")]
    assert len(lines) == 1
    assert lines[0].startswith(f"GET http://orders/items: {gone.address} unconnected (")
    assert lines[0].endswith(f"), trying {good.member().address}")
    assert "SECRET" not in lines[0]


def test_a_registry_that_a_fork_left_behind_is_a_connection_error_that_says_so(caller_class: CallerClass) -> None:
    class Inherited:
        def pick(self, exclude: object = ()) -> Member:
            raise RegistryStateError("the registry was started before fork()")

        def members(self) -> tuple[Member, ...]:
            raise RegistryStateError("the registry was started before fork()")

    with caller_class(Inherited()) as caller, pytest.raises(caller.connection_error, match="before fork") as caught:
        caller.call()
    assert isinstance(caught.value.__cause__, RegistryStateError)
