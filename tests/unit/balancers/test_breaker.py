"""The circuit breaker of a service: on the outcome of calls, one probe at a time."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from support.http_members import GivenMembers, InOrder

import pydoudou
from pydoudou import CallPolicy, CircuitBreaker, CircuitOpen, Member, RoundRobin
from pydoudou.balancers.calls.breaker import InterlockBreaker
from pydoudou.balancers.calls.call import Call
from pydoudou.balancers.calls.service import CalledService, ClientErrors
from pydoudou.balancers.reporting import Reporting
from pydoudou.drivers.members import Reached

A, B = (Member("orders", "10.0.0.1", port) for port in (1, 2))
POLICY = CallPolicy(attempts=1, breaker=CircuitBreaker())
LOG = logging.getLogger("pydoudou.tests")


class Service:
    """Calls one after the other, each a hundredth of a second after the last, from time 1000 on."""

    def __init__(self, policy: CallPolicy = POLICY, *members: Member) -> None:
        self.policy, self.balancer, self.now = policy, Reporting(InOrder(*(members or (A,)))), 1000.0

    def begin(self) -> Call:
        self.now += 0.01
        return Call(self.policy, self.balancer, "GET", "http://orders/", True, self.now, LOG)

    def answered(self, *statuses: int) -> None:
        for status in statuses:
            call = self.begin()
            attempt = call.first(self.now)
            while True:
                assert attempt.answered(status, self.now)
                following = call.answered(attempt, status, {}.get, self.now)
                if following is None:
                    break
                attempt = following

    def failed(self, reached: Reached, count: int = 1) -> None:
        for _ in range(count):
            call = self.begin()
            assert call.next(call.first(self.now), reached, OSError(), self.now) is None

    def cancelled(self, count: int = 1) -> None:
        for _ in range(count):
            call = self.begin()
            call.first(self.now)
            call.cancelled(self.now)

    @property
    def open(self) -> bool:
        call = self.begin()
        try:
            call.first(self.now)
        except CircuitOpen:
            return True
        call.cancelled(self.now)
        return False


@pytest.mark.parametrize(
    ("steps", "opens"),
    [
        (lambda service: service.failed(Reached.UNCONNECTED, 6), True),
        (lambda service: service.failed(Reached.TIMED_OUT, 6), True),
        (lambda service: service.failed(Reached.BROKEN, 5), False),
        (lambda service: service.answered(*[503] * 6), True),
        (lambda service: service.answered(*[500] * 6), True),
        (lambda service: service.answered(*[404] * 60), False),
        (lambda service: service.answered(*[429] * 60), False),
        (lambda service: service.answered(200, 200, 200, 503, 503, 503), True),
        (lambda service: service.answered(200, 200, 200, 200, 503, 503, 503), False),
        (lambda service: service.cancelled(60), False),
    ],
    ids=["no connection", "silent", "five only", "503", "500", "404", "429", "half", "less than half", "cancelled"],
)
def test_half_of_at_least_six_calls_that_failed_open_it(steps: Callable[[Service], None], opens: bool) -> None:
    service = Service()
    steps(service)
    assert service.open is opens


def test_a_call_that_another_member_answers_is_a_success() -> None:
    service = Service(CallPolicy(breaker=CircuitBreaker()), A, B)
    for _ in range(20):
        call = service.begin()
        second = call.next(call.first(service.now), Reached.UNCONNECTED, OSError(), service.now)
        if second is None:
            break
        assert second.answered(200, service.now)
        call.answered(second, 200, {}.get, service.now)
    assert not service.open


def test_failures_of_more_than_ten_seconds_ago_count_no_more() -> None:
    service = Service()
    service.failed(Reached.BROKEN, 5)
    service.now += 11
    service.failed(Reached.BROKEN)
    assert not service.open


def test_it_stays_open_for_five_seconds_and_a_success_closes_it() -> None:
    service = Service()
    service.failed(Reached.BROKEN, 6)
    service.now += 4.9
    assert service.open
    service.now += 0.1
    service.answered(200)
    service.failed(Reached.BROKEN, 5)
    assert not service.open, "it begins anew"


def test_a_probe_that_fails_opens_it_again() -> None:
    service = Service()
    service.failed(Reached.BROKEN, 6)
    service.now += 5
    service.failed(Reached.BROKEN)
    assert service.open
    service.now += 5
    assert not service.open


@pytest.mark.parametrize("end", ["cancelled", "dropped", "no member"])
def test_a_probe_that_says_nothing_leaves_its_turn_to_the_next(end: str) -> None:
    service = Service()
    service.failed(Reached.BROKEN, 6)
    service.now += 5
    call = service.begin()
    if end == "no member":
        members, service.balancer.balancer = service.balancer.balancer, InOrder()
        with pytest.raises(pydoudou.NoMemberAvailable):
            call.first(service.now)
        service.balancer.balancer = members
    else:
        call.first(service.now)
        assert service.open, "one at a time"
    if end == "cancelled":
        call.cancelled(service.now)
    del call
    assert not service.open


def test_what_a_call_of_before_says_after_the_opening_counts_no_more() -> None:
    service = Service()
    late = service.begin()
    attempt = late.first(service.now)
    service.failed(Reached.BROKEN, 6)
    service.now += 5
    probe = service.begin()
    probe.first(service.now)
    attempt.answered(200, service.now)
    late.answered(attempt, 200, {}.get, service.now)
    assert service.open, "the probe is under way still"
    probe.cancelled(service.now)


def test_a_dry_run_counts_the_calls_that_it_would_have_refused_and_makes_them() -> None:
    service = Service(POLICY.change(dry_run={"breaker"}))
    service.failed(Reached.BROKEN, 10)
    assert service.balancer.calls.counters == {"dry_run_breaker": 4}


def test_equal_settings_of_a_service_mean_one_breaker_and_other_services_have_their_own() -> None:
    registry = GivenMembers(A)
    clients = [RoundRobin("orders", registry) for _ in range(2)]

    def begin(client: RoundRobin, policy: CallPolicy = POLICY) -> Call:
        return Call(policy, client, "GET", "http://orders/", True, 0.0, LOG)

    for _ in range(6):
        call = begin(clients[0])
        call.next(call.first(0.0), Reached.BROKEN, OSError(), 0.0)
    with pytest.raises(CircuitOpen, match="50% or more failed"):
        begin(clients[1], POLICY.change(breaker=CircuitBreaker())).first(0.0)
    begin(clients[1], POLICY.change(breaker=CircuitBreaker(least_calls=7))).first(0.0)
    begin(RoundRobin("orders", GivenMembers(A))).first(0.0)


def test_a_refused_call_is_the_librarys_error_with_the_cause_within_a_millisecond() -> None:
    class Refused(ConnectionError):
        def __init__(self, text: str, request: object) -> None:
            super().__init__(text)

    errors = ClientErrors(Refused, Refused, lambda error: Reached.BROKEN)
    service = CalledService("orders", Reporting(InOrder(A)), POLICY, errors, str, LOG, lambda _: None)
    for _ in range(6):
        call = service.call("GET", "http://orders/", True, 0.0)
        service.after(call, service.first(call, None, 0.0), OSError(), 0.0)
    took = []
    for _ in range(100):
        call = service.call("GET", "http://orders/", True, 0.0)
        began = time.perf_counter()
        with pytest.raises(Refused, match=r"^'orders' is not called: the circuit breaker is open") as caught:
            service.first(call, None, 0.0)
        took.append(time.perf_counter() - began)
        assert isinstance(caught.value.__cause__, CircuitOpen)
    assert sorted(took)[90] < 0.001


def test_a_breaker_of_somebody_elses_takes_its_place() -> None:
    class Never:
        def __init__(self, settings: CircuitBreaker) -> None:
            self.told: list[Any] = []

        def begin(self, now: float) -> object | None:
            return "permit"

        def ended(self, permit: object, success: bool | None, now: float) -> None:
            self.told.append((permit, success))

    service = Service(CallPolicy(attempts=1, breaker=CircuitBreaker(make=Never)))
    service.answered(200, 503)
    service.failed(Reached.BROKEN)
    service.cancelled()
    (breaker,) = service.balancer.calls.breakers.values()
    assert isinstance(breaker, Never)
    assert breaker.told == [("permit", True), ("permit", False), ("permit", False), ("permit", None)]


def test_without_interlock_the_settings_say_what_to_install() -> None:
    script = (
        "import sys; sys.modules['interlock'] = None\n"
        "import pydoudou\n"
        "try: pydoudou.CircuitBreaker()\n"
        "except ModuleNotFoundError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=30)
    assert done.stdout == "a circuit breaker needs interlock-cb: pip install 'pydoudou[breaker]'\n"


# -- one probe at a time -----------------------------------------------------------------------------------------------


class Probes:
    """Counts the calls that a half-open breaker lets through, and how many there are at once."""

    def __init__(self) -> None:
        self.breaker = InterlockBreaker(CircuitBreaker())
        for _ in range(6):
            self.breaker.ended(self.breaker.begin(100.0), False, 100.0)
        assert self.breaker.begin(100.0) is None
        self.at_once = self.most = self.all = 0
        self._lock = threading.Lock()

    def let_in(self) -> object | None:
        permit = self.breaker.begin(105.0)
        if permit is not None:
            with self._lock:
                self.all += 1
                self.at_once += 1
                self.most = max(self.most, self.at_once)
        return permit

    def cancelled(self, permit: object) -> None:
        with self._lock:
            self.at_once -= 1
        self.breaker.ended(permit, None, 105.0)


def test_32_threads_let_one_probe_out_at_a_time() -> None:
    probes, start, permits = Probes(), threading.Barrier(32), []
    switch = sys.getswitchinterval()

    def call() -> None:
        start.wait()
        for _ in range(50):
            permit = probes.let_in()
            if permit is not None:
                time.sleep(0)
                probes.cancelled(permit)
        start.wait()
        if (last := probes.let_in()) is not None:
            permits.append(last)

    threads = [threading.Thread(target=call) for _ in range(32)]
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(switch)
    assert probes.most == 1
    assert probes.all > 1
    assert len(permits) == 1


def test_200_tasks_let_one_probe_out_at_a_time_and_end_it_in_another_task() -> None:
    probes, permits = Probes(), []

    async def call() -> None:
        for _ in range(5):
            permit = probes.let_in()
            await asyncio.sleep(0)
            if permit is not None:
                await asyncio.create_task(end(permit))
        if (last := probes.let_in()) is not None:
            permits.append(last)

    async def end(permit: object) -> None:
        probes.cancelled(permit)

    async def main() -> None:
        await asyncio.gather(*[call() for _ in range(200)])

    asyncio.run(main())
    assert probes.most == 1
    assert probes.all > 1
    assert len(permits) == 1
    probes.breaker.ended(permits.pop(), True, 105.0)
    assert all(probes.let_in() is not None for _ in range(20)), "closed"
