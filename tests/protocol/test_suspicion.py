"""How long a suspect has, and how confirmations shorten it."""

from __future__ import annotations

import pytest
from support.cluster import Lone

from pydoudou.drivers.memberlist.protocol import State
from pydoudou.drivers.memberlist.protocol.messages import Ack, Ping, Suspect
from pydoudou.drivers.memberlist.protocol.scaling import push_pull_scale
from pydoudou.drivers.memberlist.protocol.suspicion import Suspicion, remaining_suspicion, suspicion_timeout

LEAST, MOST = 0.5, 2.0


@pytest.mark.upstream("TestSuspicion_remainingSuspicionTime")
@pytest.mark.parametrize(
    ("confirmations", "elapsed", "left"),
    [(0, 0, 30.0), (1, 2, 14.0), (2, 3, 4.81), (3, 4, -2.0), (4, 5, -3.0), (5, 10, -8.0)],
)
def test_the_time_left_shrinks_with_the_logarithm_of_the_confirmations(
    confirmations: int, elapsed: float, left: float
) -> None:
    assert remaining_suspicion(confirmations, 3, elapsed, 2.0, 30.0) == pytest.approx(left, abs=1e-9)


@pytest.mark.upstream("TestSuspicion_Timer")
@pytest.mark.parametrize(
    ("reporters", "timeout"),
    [
        ([], 2.0),
        (["me"], 2.0),
        (["me", "foo"], 1.25),
        (["foo", "foo", "foo"], 1.25),
        (["foo", "bar"], 0.81),
        (["foo", "bar", "baz"], 0.5),
        (["foo", "bar", "baz", "zoo"], 0.5),
    ],
)
def test_each_new_reporter_shortens_the_time_and_repetitions_do_not(reporters: list[str], timeout: float) -> None:
    suspicion = Suspicion("me", 3, LEAST, MOST, 0.0)
    for reporter in reporters:
        suspicion.confirm(reporter, 0.1)
    assert suspicion.deadline == pytest.approx(timeout, abs=0.0015)


@pytest.mark.upstream("TestSuspicion_Timer_ZeroK")
def test_without_expected_confirmations_the_shortest_time_counts_and_none_is_taken() -> None:
    suspicion = Suspicion("me", 0, LEAST, MOST, 0.0)
    assert suspicion.deadline == LEAST
    assert not suspicion.confirm("foo", 0.1)


@pytest.mark.upstream("TestSuspicion_Timer_Immediate")
def test_a_confirmation_after_the_shortened_time_ends_it_at_once() -> None:
    suspicion = Suspicion("me", 1, 0.1, 30.0, 0.0)
    suspicion.confirm("foo", 0.2)
    assert suspicion.deadline == 0.2


@pytest.mark.upstream("TestSuspicionTimeout")
def test_the_shortest_time_grows_with_the_logarithm_of_the_cluster() -> None:
    timeouts = {5: 1.0, 10: 1.0, 50: 1.698, 100: 2.0, 500: 2.698, 1000: 3.0}
    assert {nodes: suspicion_timeout(3, nodes, 1.0) / 3 for nodes in timeouts} == pytest.approx(timeouts)


@pytest.mark.upstream("TestPushPullScale")
def test_push_pulls_become_rarer_beyond_32_nodes() -> None:
    assert {push_pull_scale(1.0, nodes) for nodes in range(33)} == {1.0}
    assert {push_pull_scale(1.0, nodes) for nodes in range(33, 65)} == {2.0}
    assert {push_pull_scale(1.0, nodes) for nodes in range(65, 129)} == {3.0}


@pytest.mark.upstream("TestMemberList_ProbeNode_Suspect_Dogpile")
@pytest.mark.parametrize(
    ("others", "confirmations", "timeout"),
    [
        (1, 0, 4.0),
        (2, 0, 4.0),
        (3, 0, 24.0),
        (4, 0, 24.0),
        (4, 1, 11.381),
        (4, 2, 4.0),
        (4, 3, 4.0),
        (8, 0, 24.0),
        (32, 2, 6.072),
    ],
)
def test_in_a_cluster_a_suspect_is_dead_after_the_time_of_its_size_and_confirmations(
    others: int, confirmations: int, timeout: float
) -> None:
    """LAN: k = 2, so four nodes or more wait for confirmations."""
    lone = Lone()
    lone.knows(*(f"n{number}" for number in range(others)))
    lone.hear(Suspect(1, "n0", "me"))
    for number in range(confirmations):
        lone.hear(Suspect(1, "n0", f"confirms {number}"))
    lone.sent()

    def dead() -> bool:
        for _, ping in lone.sent(Ping):
            if ping.node != "n0":
                lone.hear(Ack(ping.seq_no))
        return lone.state("n0") is State.DEAD

    lone.run_until(dead, within=60.0)
    assert lone.now == pytest.approx(timeout, abs=0.025)
