"""A refutation that gossip did not bring to everybody: who missed it still hears of it before it declares a death."""

from __future__ import annotations

import pytest
from support.cluster import Lone, alive, decoded

from pydoudou.drivers.memberlist.protocol import State
from pydoudou.drivers.memberlist.protocol.events import NodeLeft, NodeRefuted
from pydoudou.drivers.memberlist.protocol.messages import Alive, Dead, Suspect


@pytest.fixture
def lone() -> Lone:
    """It has refuted a report, so that its incarnation is 2."""
    lone = Lone()
    lone.knows("n0", "n1")
    lone.hear(Suspect(1, "me", "n0"))
    lone.sent()
    return lone


@pytest.mark.parametrize("report", [Suspect(1, "me", "n1"), Dead(1, "me", "n1")], ids=["suspect", "dead"])
def test_who_repeats_a_report_is_told_that_it_was_refuted(lone: Lone, report: Suspect | Dead) -> None:
    lone.hear(report)
    ((to, refutation),) = lone.sent(Alive)
    assert to[0] == lone.node("n1").host
    assert refutation.incarnation == lone.node("me").incarnation == 2
    assert lone.swim.counters["refutations"] == 1


def test_a_reporter_is_told_once_a_second_however_often_its_report_comes(lone: Lone) -> None:
    lone.hear(*[Suspect(1, "me", "n1")] * 5)
    assert len(lone.sent(Alive)) == 1
    lone.run(1.0)
    lone.sent()
    lone.hear(*[Suspect(1, "me", "n1")] * 5)
    assert len(lone.sent(Alive)) == 1


def test_an_unknown_reporter_is_not_answered(lone: Lone) -> None:
    lone.hear(Suspect(1, "me", "nobody"), Suspect(1, "me", "me"))
    assert lone.sent() == []


def test_a_node_that_leaves_does_not_contradict(lone: Lone) -> None:
    lone.swim.leave(lone.now)
    lone.sent()
    lone.hear(Suspect(1, "me", "n1"))
    assert lone.sent() == []


def test_a_suspect_is_told_once_more_before_it_is_declared_dead(suspecting: Lone) -> None:
    called_at = until_last_call(suspecting)
    suspecting.run_until(lambda: suspecting.state("n0") is State.DEAD, within=60.0)
    assert suspecting.now - called_at == pytest.approx(suspecting.config.probe_timeout)


def test_a_suspect_that_answers_the_last_call_lives(suspecting: Lone) -> None:
    until_last_call(suspecting)
    suspecting.hear(alive("n0", 2, host=suspecting.node("n0").host))
    suspecting.run(suspecting.config.probe_timeout)
    assert len(suspecting.happened(NodeRefuted)) == 1
    assert suspecting.happened(NodeLeft) == []


@pytest.fixture
def suspecting() -> Lone:
    """It heard of a suspicion, and does not gossip itself."""
    lone = Lone(gossip_interval=0.0)
    lone.knows("n0", "n1")
    lone.hear(Suspect(1, "n0", "n1"))
    return lone


def until_last_call(lone: Lone) -> float:
    """Let time pass until the suspect is sent its report outside of gossip and probes; returns when that is."""
    address = (lone.node("n0").host, lone.node("n0").port)

    def called() -> bool:
        return any(
            to == address and [type(message) for message in decoded(datagram, lone.config)] == [Suspect]
            for to, datagram in lone.packets()
        )

    lone.run_until(called, within=60.0)
    return lone.now
