"""The rules of answers and times, as plain values: no client, no socket, no clock."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest
from support.http_members import InOrder

from pydoudou import CallPolicy, Member
from pydoudou.balancers.calls.call import Call
from pydoudou.balancers.calls.policy import IDEMPOTENT_METHODS, RETRY_ON
from pydoudou.balancers.calls.trail import Attempt, Trail
from pydoudou.balancers.calls.waiting import FIRST_JITTER, JITTER, LONGEST_WAIT, backoff
from pydoudou.balancers.memory.pick import Pick
from pydoudou.balancers.reporting import Reporting
from pydoudou.drivers.members import Reached

A, B, C = (Member("orders", "10.0.0.1", port) for port in (1, 2, 3))
PROOF = {"x-doudou-not-processed": "orders"}
CHANGING = ["POST", "PATCH", "CONNECT", "PURGE"]


class Chance:
    """Chance that always says the same."""

    def __init__(self, says: float = 0.0) -> None:
        self.says = says

    def random(self) -> float:
        return self.says

    def getrandbits(self, k: int, /) -> int:
        return 0


class Calling:
    """A call at time 100 and its present attempt. Every step takes the attempt to `at` seconds after its start."""

    def __init__(
        self,
        policy: CallPolicy | None = None,
        *members: Member,
        method: str = "GET",
        replayable: bool = True,
        chance: float = 0.0,
    ) -> None:
        self.balancer = Reporting(InOrder(*(members or (A, B, C))), Chance(chance))
        self.shared, self.now = self.balancer.calls, 100.0
        log = logging.getLogger("pydoudou.tests")
        self.call = Call(policy or CallPolicy(), self.balancer, method, "http://orders/", replayable, 100.0, log)
        self.attempt: Pick = self.call.first(100.0)

    def answered(self, status: int, headers: dict[str, str] | None = None, at: float = 0.0) -> Member | None:
        """Who is called next after this answer; None if it is that of the call."""
        self.now = self.attempt.started + at
        assert self.attempt.answered(status, self.now)
        return self._go_on(self.call.answered(self.attempt, status, (headers or {}).get, self.now))

    def failed(self, reached: Reached, at: float = 0.0, error: Exception | None = None) -> Member | None:
        self.now = self.attempt.started + at
        return self._go_on(self.call.next(self.attempt, reached, error or OSError(), self.now))

    def _go_on(self, following: Pick | None) -> Member | None:
        if following is None:
            return None
        self.attempt = following
        return following.member


# -- statuses ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", sorted(RETRY_ON))
@pytest.mark.parametrize("method", sorted(IDEMPOTENT_METHODS))
def test_what_a_gateway_says_moves_an_idempotent_call(status: int, method: str) -> None:
    assert Calling(method=method).answered(status) == B


@pytest.mark.parametrize("method", CHANGING)
def test_what_a_gateway_says_is_the_answer_to_a_call_that_changes_things(method: str) -> None:
    assert Calling(method=method).answered(503) is None


@pytest.mark.parametrize("status", [200, 204, 302, 400, 404, 408, 425, 429, 500, 501, 505, 599])
def test_any_other_status_is_the_answer(status: int) -> None:
    assert Calling().answered(status) is None


def test_a_policy_says_which_statuses_move() -> None:
    policy = CallPolicy(retry_on={500})
    assert Calling(policy).answered(500) == B
    assert Calling(policy).answered(503) is None


def test_a_policy_says_which_methods_may_be_repeated() -> None:
    policy = CallPolicy(idempotent_methods={"post"})
    assert policy.idempotent_methods == {"POST"}
    for method, moves in (("POST", True), ("GET", False)):
        assert (Calling(policy, method=method).answered(503) is not None) is moves
        assert (Calling(policy, method=method).failed(Reached.BROKEN) is not None) is moves
        assert Calling(policy, method=method).failed(Reached.UNCONNECTED) is not None, "nothing was sent"


def test_an_answer_stays_if_the_body_cannot_be_sent_again() -> None:
    assert Calling(method="PUT", replayable=False).answered(503) is None


def test_the_last_attempt_s_answer_is_that_of_the_call() -> None:
    calling = Calling(CallPolicy(attempts=2))
    assert [calling.answered(503), calling.answered(502)] == [B, None]


def test_an_answer_after_the_deadline_moves_nothing() -> None:
    calling = Calling(CallPolicy(deadline=1.0))
    calling.attempt.answer_limit = None
    assert calling.answered(503, at=1.0) is None


# -- proofs ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", *CHANGING])
def test_a_proof_that_nothing_was_done_moves_any_method(method: str) -> None:
    assert Calling(CallPolicy(retry_on=()), method=method).answered(503, PROOF) == B


@pytest.mark.parametrize(
    ("status", "named"), [(503, "users"), (503, "orders-2"), (503, ""), (503, "1"), (500, "orders"), (429, "orders")]
)
def test_what_is_no_proof_of_this_service_moves_nothing(status: int, named: str) -> None:
    assert Calling(method="POST").answered(status, {"x-doudou-not-processed": named}) is None


def test_a_proof_moves_nothing_if_the_body_cannot_be_sent_again() -> None:
    assert Calling(method="POST", replayable=False).answered(503, PROOF) is None


@pytest.mark.parametrize(("option", "expected"), [(False, None), (True, B)], ids=["default", "asked for"])
def test_retry_after_zero_is_a_proof_only_by_option(option: bool, expected: Member | None) -> None:
    calling = Calling(CallPolicy(retry_after_zero=option), method="POST")
    assert calling.answered(503, {"retry-after": "0"}) == expected


def test_retry_after_zero_of_another_status_is_never_a_proof() -> None:
    assert Calling(CallPolicy(retry_after_zero=True), method="POST").answered(429, {"retry-after": "0"}) is None


# -- what the member's memory hears ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "text", "seconds"),
    [(503, "7", 7.0), (429, "7", 7.0), (503, "soon", None), (503, "99999", 300.0), (200, "7", None)],
)
def test_what_an_answer_says_about_coming_back_goes_with_it(status: int, text: str, seconds: float | None) -> None:
    calling = Calling(CallPolicy(attempts=1))
    calling.answered(status, {"retry-after": text})
    assert calling.attempt.retry_after == seconds


@pytest.mark.parametrize(
    ("policy", "at", "callers"),
    [
        (CallPolicy(), 2.0, True),
        (CallPolicy(deadline=2.0), 2.0, True),
        (CallPolicy(attempt_timeout=0.5), 0.5, False),
        (CallPolicy(attempt_timeout=0.5), 0.4985, False),
        (CallPolicy(attempt_timeout=0.5), 0.2, True),
        (CallPolicy(attempt_timeout=0.5, dry_run={"attempt_timeout"}), 0.5, True),
    ],
    ids=["no time", "deadline only", "own time", "own time, timer early", "caller's time", "dry run"],
)
def test_a_timeout_is_the_callers_unless_the_policys_time_was_over(
    policy: CallPolicy, at: float, callers: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    calling, told = Calling(policy), []
    monkeypatch.setattr(Pick, "done", lambda self, outcome, last=True: told.append(outcome))
    calling.failed(Reached.TIMED_OUT, at)
    assert [outcome.callers_time for outcome in told] == [callers]


# -- times -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "replayable", "at", "expected"),
    [
        ("GET", True, 0.5, B),
        ("PUT", True, 0.7, B),
        ("GET", True, 0.3, None),
        ("POST", True, 0.5, None),
        ("PUT", False, 0.5, None),
    ],
    ids=["own time", "later", "caller's time", "not idempotent", "not replayable"],
)
def test_an_attempt_whose_own_time_is_over_moves_an_idempotent_call(
    method: str, replayable: bool, at: float, expected: Member | None
) -> None:
    calling = Calling(CallPolicy(attempt_timeout=0.5, deadline=5.0), method=method, replayable=replayable)
    assert calling.failed(Reached.TIMED_OUT, at) == expected


def test_no_attempt_follows_one_that_used_up_the_deadline() -> None:
    calling = Calling(CallPolicy(attempt_timeout=1.0, deadline=1.5))
    assert calling.failed(Reached.TIMED_OUT, 1.0) == B
    assert calling.attempt.answer_limit == 0.5
    assert calling.failed(Reached.TIMED_OUT, 0.5) is None


@pytest.mark.parametrize(
    ("policy", "answer", "connect"),
    [
        (CallPolicy(attempt_timeout=0.5), 0.5, 0.5),
        (CallPolicy(attempt_timeout=0.5, deadline=1.2), 0.5, 0.4),
        (CallPolicy(attempt_timeout=0.5, deadline=0.6), 0.5, 0.2),
        (CallPolicy(attempt_timeout=0.5, dry_run={"attempt_timeout"}), None, 10.0),
    ],
    ids=["alone", "with a deadline", "with a short deadline", "dry run"],
)
def test_an_attempt_has_the_shorter_of_its_own_time_and_what_is_left(
    policy: CallPolicy, answer: float | None, connect: float
) -> None:
    attempt = Calling(policy).attempt
    assert (attempt.answer_limit, attempt.connect_limit) == (answer, pytest.approx(connect))


@pytest.mark.parametrize(
    ("policy", "text"),
    [(CallPolicy(attempt_timeout=0.5, deadline=3.0), "0.5 s for an attempt"), (CallPolicy(deadline=3.0), "of 3.0 s")],
)
def test_who_is_too_late_is_told_for_what(policy: CallPolicy, text: str) -> None:
    assert text in Calling(policy).call.timeout


# -- waiting -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chance", [0.0, 0.5, 0.999])
def test_another_member_is_tried_at_once_with_a_little_jitter(chance: float) -> None:
    calling = Calling(CallPolicy(attempts=3, deadline=5.0), chance=chance)
    calling.failed(Reached.UNCONNECTED)
    assert calling.attempt.delay == chance * FIRST_JITTER
    calling.answered(503)
    assert calling.attempt.delay == chance * JITTER
    assert calling.attempt.started == pytest.approx(100.0 + chance * (FIRST_JITTER + JITTER), abs=1e-9)
    assert calling.attempt.answer_limit == pytest.approx(5.0 - chance * (FIRST_JITTER + JITTER))


def test_the_jitter_takes_none_of_the_last_milliseconds() -> None:
    calling = Calling(CallPolicy(deadline=1.0), chance=0.99)
    calling.failed(Reached.BROKEN, 0.99)
    assert calling.attempt.delay == 0.0


@pytest.mark.parametrize(
    ("repeat", "most"), [(1, 0.025), (2, 0.075), (3, 0.175), (4, LONGEST_WAIT), (5, LONGEST_WAIT), (9999, LONGEST_WAIT)]
)
def test_the_wait_before_a_member_is_tried_again_grows_to_a_quarter_of_a_second(repeat: int, most: float) -> None:
    assert backoff(repeat, 1.0) == pytest.approx(most)
    assert backoff(repeat, 0.0) == 0.0


AGAIN: dict[str, Callable[[Calling], Member | None]] = {
    "status": lambda calling: calling.answered(503),
    "proof": lambda calling: calling.answered(503, PROOF),
    "refused": lambda calling: calling.failed(Reached.REFUSED),
    "own time": lambda calling: calling.failed(Reached.TIMED_OUT, 0.5),
}


@pytest.mark.parametrize("step", AGAIN.values(), ids=AGAIN)
def test_a_member_that_may_do_better_is_tried_again_when_there_is_nobody_else(
    step: Callable[[Calling], Member | None],
) -> None:
    calling = Calling(CallPolicy(attempts=4, attempt_timeout=0.5, deadline=30.0), A, chance=1.0)
    delays = []
    for _ in range(3):
        assert step(calling) == A
        delays.append(calling.attempt.delay)
    assert delays == pytest.approx([0.025, 0.075, 0.175])
    assert step(calling) is None
    assert calling.shared.counters == {"moves": 3, "waits": 3}
    assert [attempt.why for attempt in calling.call.trail[1:]] == ["tried again, as nobody else is left"] * 3


@pytest.mark.parametrize("reached", [Reached.UNCONNECTED, Reached.BROKEN])
def test_a_member_without_a_connection_is_not_tried_again(reached: Reached) -> None:
    calling = Calling(CallPolicy(attempts=9), A, B)
    assert [calling.failed(reached), calling.failed(reached)] == [B, None]


def test_of_those_tried_only_who_may_do_better_is_tried_again() -> None:
    calling = Calling(CallPolicy(attempts=9, deadline=60.0), A, B, C)
    assert calling.failed(Reached.UNCONNECTED) == B
    assert calling.answered(503) == C
    assert calling.failed(Reached.BROKEN) == B
    assert calling.failed(Reached.BROKEN) is None


@pytest.mark.parametrize(
    ("deadline", "seconds", "delay"),
    [
        (5.0, "2", 2.0),
        (5.0, "0", 0.025),
        (5.0, "nonsense", 0.025),
        (5.0, "6", None),
        (None, "1", None),
        (None, "0", 0.025),
    ],
    ids=["longer", "zero", "nonsense", "after the deadline", "without a deadline", "zero without a deadline"],
)
def test_a_503_is_waited_for_as_long_as_it_says_if_the_deadline_allows(
    deadline: float | None, seconds: str, delay: float | None
) -> None:
    calling = Calling(CallPolicy(deadline=deadline), A, chance=1.0)
    following = calling.answered(503, {"retry-after": seconds})
    assert following == (None if delay is None else A)
    if delay is not None:
        assert calling.attempt.delay == pytest.approx(delay)


def test_who_asks_for_less_time_is_tried_again_first() -> None:
    calling = Calling(CallPolicy(attempts=9, deadline=60.0), A, B)
    assert calling.answered(503, {"retry-after": "9"}) == B
    assert calling.answered(503, {"retry-after": "3"}) == B
    assert calling.attempt.delay == pytest.approx(3.0)


# -- the budget --------------------------------------------------------------------------------------------------------

NO_RETRIES = CallPolicy(retry_ratio=0.0, retry_reserve=0.0)


@pytest.mark.parametrize("reached", [Reached.UNCONNECTED, Reached.BROKEN])
def test_without_a_budget_an_error_is_that_of_the_call_and_says_so(reached: Reached) -> None:
    calling, error = Calling(NO_RETRIES), OSError()
    assert calling.failed(reached, error=error) is None
    assert error.__notes__ == ["It was not sent to another member: the retry budget of the service is used up."]
    assert calling.shared.counters == {"budget_refused": 1}


def test_without_a_budget_an_answer_is_that_of_the_call() -> None:
    assert Calling(NO_RETRIES).answered(503) is None


def test_where_others_are_answered_a_call_of_which_nothing_was_done_moves_without_a_budget() -> None:
    calling = Calling(NO_RETRIES)
    for _ in range(9):
        calling.shared.answered(100.0)
    assert calling.failed(Reached.UNCONNECTED) == B
    assert calling.answered(503) is None
    assert calling.call.trail[0].budget_left == 0.0


def test_three_such_moves_are_under_way_at_most_and_their_end_frees_the_place() -> None:
    first = Calling(NO_RETRIES)
    for _ in range(9):
        first.shared.answered(100.0)
    for place in range(3):
        first.shared.lend(100.0 + place / 1024)
    assert first.failed(Reached.UNCONNECTED) is None
    first.shared.settle(100.0)
    log = logging.getLogger("pydoudou.tests")
    calls = [Call(NO_RETRIES, first.balancer, "GET", "http://orders/", True, 100.0, log) for _ in range(2)]
    attempts = [call.first(100.0) for call in calls]
    moved = calls[0].next(attempts[0], Reached.UNCONNECTED, OSError(), 100.0)
    assert moved is not None
    assert calls[1].next(attempts[1], Reached.UNCONNECTED, OSError(), 100.0) is None
    calls[0].cancelled(100.0)
    again = Call(NO_RETRIES, first.balancer, "GET", "http://orders/", True, 100.0, log)
    assert again.next(again.first(100.0), Reached.UNCONNECTED, OSError(), 100.0) is not None


def test_a_move_to_nobody_costs_nothing() -> None:
    calling = Calling(None, A)
    assert calling.failed(Reached.UNCONNECTED) is None
    assert calling.shared.left(100.0, 0.2, 1.0) == pytest.approx(10.2)


@pytest.mark.parametrize(
    ("policy", "method", "reached"),
    [
        (CallPolicy(attempts=1), "PUT", Reached.BROKEN),
        (CallPolicy(), "POST", Reached.BROKEN),
        (CallPolicy(), "PUT", Reached.TIMED_OUT),
    ],
    ids=["one attempt", "not idempotent", "the caller's time"],
)
def test_a_body_is_not_blamed_where_the_call_would_have_stayed_anyway(
    policy: CallPolicy, method: str, reached: Reached
) -> None:
    error = OSError()
    assert Calling(policy, method=method, replayable=False).failed(reached, error=error) is None
    assert not hasattr(error, "__notes__")


def test_a_body_that_cannot_be_sent_twice_is_named_in_the_error() -> None:
    error = OSError()
    assert Calling(method="PUT", replayable=False).failed(Reached.BROKEN, error=error) is None
    assert error.__notes__ == ["It was not sent to another member: its body cannot be sent twice."]


# -- dry runs ----------------------------------------------------------------------------------------------------------

DRY: dict[str, tuple[CallPolicy, Callable[[Calling], Any], Any]] = {
    "retry_on": (CallPolicy(dry_run={"retry_on"}), lambda calling: calling.answered(503), None),
    "not_processed": (
        CallPolicy(retry_on=(), dry_run={"not_processed"}),
        lambda calling: calling.answered(503, PROOF),
        None,
    ),
    "budget": (NO_RETRIES.change(dry_run={"budget"}), lambda calling: calling.answered(503), B),
    "attempt_timeout": (
        CallPolicy(attempt_timeout=0.5, dry_run={"attempt_timeout"}),
        lambda calling: calling.answered(200, at=0.7),
        None,
    ),
}


@pytest.mark.parametrize(("rule", "policy", "step", "expected"), [(k, *v) for k, v in DRY.items()], ids=DRY)
def test_a_dry_run_counts_what_a_rule_would_have_done(
    rule: str, policy: CallPolicy, step: Callable[[Calling], Any], expected: Any
) -> None:
    calling = Calling(policy)
    assert step(calling) == expected
    assert calling.shared.counters[f"dry_run_{rule}"] == 1


def test_a_dry_run_counts_nothing_where_the_rule_would_not_have_acted() -> None:
    calling = Calling(CallPolicy(attempts=1, attempt_timeout=0.5, dry_run={"retry_on", "attempt_timeout", "budget"}))
    assert calling.answered(503, at=0.1) is None
    assert calling.shared.counters == {}


def test_a_silent_member_is_counted_by_the_dry_run_of_the_attempts_time() -> None:
    calling = Calling(CallPolicy(attempt_timeout=0.5, dry_run={"attempt_timeout"}))
    assert calling.failed(Reached.TIMED_OUT, 2.0) is None
    assert calling.shared.counters == {"dry_run_attempt_timeout": 1}


def test_a_proof_that_is_tried_out_leaves_the_rule_of_the_status_alone() -> None:
    calling = Calling(CallPolicy(dry_run={"not_processed"}))
    assert calling.answered(503, PROOF) == B


# -- the trail ---------------------------------------------------------------------------------------------------------


def test_the_trail_tells_each_attempt_and_why_it_was_left() -> None:
    calling = Calling(CallPolicy(deadline=9.0), chance=0.5)
    calling.failed(Reached.UNCONNECTED, 0.25, ConnectionRefusedError(111, "Connection refused"))
    calling.answered(503, at=0.5)
    calling.answered(200, at=0.75)
    first, second, third = calling.call.trail
    assert [attempt.member for attempt in calling.call.trail] == [A, B, C]
    assert [attempt.left for attempt in calling.call.trail] == [
        "unconnected (ConnectionRefusedError: Connection refused)",
        "answered (503)",
        "",
    ]
    assert [attempt.status for attempt in calling.call.trail] == [None, 503, 200]
    assert [attempt.seconds for attempt in calling.call.trail] == pytest.approx([0.25, 0.5, 0.75])
    assert [attempt.delay for attempt in calling.call.trail] == [0.0, 0.5 * FIRST_JITTER, 0.5 * JITTER]
    assert [attempt.budget_left for attempt in calling.call.trail] == pytest.approx([10.2, 9.2, 8.2])
    assert isinstance(first, Attempt)
    assert second.why == third.why


def test_the_trail_of_a_call_that_failed_ends_with_why() -> None:
    calling = Calling(CallPolicy(attempts=1))
    calling.failed(Reached.BROKEN, 0.5, OSError())
    assert [(attempt.member, attempt.left) for attempt in calling.call.trail] == [(A, "broken (OSError)")]


def test_a_call_that_was_answered_at_once_has_a_trail_of_one() -> None:
    calling = Calling()
    assert [attempt.seconds for attempt in calling.call.trail] == [0.0]
    calling.answered(200, at=0.25)
    assert [(attempt.member, attempt.status, attempt.seconds) for attempt in calling.call.trail] == [(A, 200, 0.25)]


def test_a_trail_is_what_a_tuple_of_attempts_is() -> None:
    calling = Calling()
    calling.answered(503)
    calling.answered(200)
    trail, same = Trail(calling.call), calling.call.trail
    assert trail == same == tuple(trail[:])
    assert (len(trail), trail[0], trail[-1], repr(trail), hash(trail)) == (2, same[0], same[1], repr(same), hash(same))
    assert trail != same[:1]
    assert trail != "trail"
