"""Who is probed, how, and what follows from the answers (SWIM section 4.1, Lifeguard)."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from support.cluster import PEER, Lone, World, alive, context_of
from support.streams import drive

from pydoudou.drivers.memberlist.protocol import Dialect, Hooks, State
from pydoudou.drivers.memberlist.protocol.addresses import Address
from pydoudou.drivers.memberlist.protocol.events import NodeSuspected, PingCompleted
from pydoudou.drivers.memberlist.protocol.messages import Ack, Alive, Dead, IndirectPing, Nack, Ping, Suspect
from pydoudou.drivers.memberlist.protocol.packet import compound
from pydoudou.drivers.memberlist.protocol.probe import MAX_WAITING
from pydoudou.drivers.memberlist.protocol.stream_exchange import StreamExchange

INTERVAL, TIMEOUT = 1.0, 0.5
"""The LAN profile."""
NO_TCP_PINGS = bytes((1, 2, 2, 0, 0, 0))
NO_NACKS = bytes((1, 3, 2, 0, 0, 0))


def prober(*names: str, score: int = 0, **changes: Any) -> Lone:
    """A node that knows live nodes of these names, with this score of bad health."""
    lone = Lone(**changes)
    for _ in range(score):  # whoever has to refute answers too slowly
        lone.hear(Suspect(lone.node("me").incarnation, "me", "nobody"))
    lone.knows(*names)
    return lone


def probed(lone: Lone) -> Ping:
    """Let time pass until the next probe."""
    ((_, ping),) = lone.until_sent(Ping)
    return ping


def asked_helpers(lone: Lone) -> list[IndirectPing]:
    """Let the probe go unanswered until others are asked."""
    return [request for _, request in lone.until_sent(IndirectPing)]


def helpers_of(lone: Lone) -> list[Address]:
    """The same; whom it asked."""
    return [to for to, _ in lone.until_sent(IndirectPing)]


def tcp_pings(lone: Lone) -> list[StreamExchange]:
    """The pings over TCP among what it wants to dial."""
    return [exchange for exchange in lone.streams() if drive(exchange, lone.now)[:1] == b"\x00"]


# -- the periodic probe ------------------------------------------------------------------------------------------------


@pytest.mark.upstream("TestMemberList_Probe", "TestMemberList_ProbeNode")
def test_a_node_that_acks_its_probe_stays_alive() -> None:
    lone = prober("a")
    ping = probed(lone)
    assert (ping.seq_no, ping.node, ping.source_node) == (1, "a", "me")
    lone.hear_from("a", Ack(1))
    lone.run(INTERVAL)
    assert lone.state("a") is State.ALIVE
    assert lone.happened(NodeSuspected) == []


@pytest.mark.upstream("TestMemberList_NextSeq")
def test_sequence_numbers_count_from_one_and_wrap_around() -> None:
    context = context_of()
    assert [context.next_sequence() for _ in range(2)] == [1, 2]
    context.sequence = 2**32 - 1
    assert [context.next_sequence() for _ in range(2)] == [0, 1]


def test_everybody_is_probed_once_before_anybody_is_probed_again() -> None:
    lone = prober("a", "b", "c", "d")
    names = []
    for _ in range(8):
        ping = probed(lone)
        lone.hear_from(ping.node, Ack(ping.seq_no))
        names.append(ping.node)
    assert sorted(names[:4]) == sorted(names[4:]) == ["a", "b", "c", "d"]


def test_the_dead_and_the_gone_are_not_probed() -> None:
    lone = prober("dead", "gone", "alive")
    lone.hear(Dead(1, "dead", "x"), Dead(1, "gone", "gone"))
    names = set()
    for _ in range(4):
        ping = probed(lone)
        lone.hear_from("alive", Ack(ping.seq_no))
        names.add(ping.node)
    assert names == {"alive"}


@pytest.mark.upstream("TestMemberList_ProbeNode_Suspect")
def test_a_node_that_does_not_ack_is_pinged_through_others_and_then_suspected() -> None:
    lone = prober("a", "b", "c")
    target = probed(lone).node
    started = lone.now
    requests = lone.until_sent(IndirectPing)
    assert lone.now - started == pytest.approx(TIMEOUT)
    assert {(request.node, request.nack, request.seq_no) for _, request in requests} == {(target, True, 1)}
    assert {to for to, _ in requests} == {
        (lone.node(name).host, lone.node(name).port) for name in {"a", "b", "c"} - {target}
    }
    assert lone.state(target) is State.ALIVE
    lone.run_until(lambda: lone.state(target) is State.SUSPECT, within=INTERVAL)
    assert lone.now - started == pytest.approx(INTERVAL)
    assert Suspect(1, target, "me") in lone.gossip()


def test_as_many_are_asked_for_help_as_configured() -> None:
    lone = prober("a", "b", "c", "d", "e", indirect_checks=2)
    probed(lone)
    assert len(asked_helpers(lone)) == 2


def test_an_ack_that_is_relayed_by_a_helper_saves_the_node() -> None:
    lone = prober("a", "b")
    target = probed(lone).node
    (helper,) = helpers_of(lone)
    lone.hear(Ack(1), source=helper)
    lone.run(INTERVAL)
    assert lone.state(target) is State.ALIVE


@pytest.mark.upstream("TestMemberList_ProbeNode_FallbackTCP")
def test_a_node_that_answers_over_tcp_only_stays_alive() -> None:
    world = World()
    me, _ = world.start("me", "a")
    world.passes = lambda source, target, transport: transport == "tcp"
    world.run(5.0)
    assert world.view("me") == {"me": State.ALIVE, "a": State.ALIVE}
    assert me.counters["probes_answered_over_tcp"] > 0
    assert me.health_score == 0


@pytest.mark.upstream("TestMemberList_ProbeNode_FallbackTCP_Disabled")
@pytest.mark.parametrize(
    "changes",
    [{"tcp_pings": False}, {"hooks": Hooks(ping_over_tcp=lambda name: name != "a")}],
    ids=["for all", "for one"],
)
def test_with_tcp_pings_switched_off_it_is_suspected(changes: dict[str, Any]) -> None:
    lone = prober("a", **changes)
    probed(lone)
    lone.run_until(lambda: lone.state("a") is State.SUSPECT, within=INTERVAL)
    assert tcp_pings(lone) == []


@pytest.mark.upstream("TestMemberList_ProbeNode_FallbackTCP_OldProtocol")
def test_a_node_too_old_for_tcp_pings_is_not_pinged_so() -> None:
    lone = Lone()
    lone.knows("old", vsn=NO_TCP_PINGS)
    probed(lone)
    lone.run_until(lambda: lone.state("old") is State.SUSPECT, within=INTERVAL)
    assert tcp_pings(lone) == []


def test_a_tcp_ping_may_take_as_long_as_its_probe() -> None:
    lone = prober("a")
    probed(lone)
    started = lone.now
    lone.run(TIMEOUT)
    (exchange,) = tcp_pings(lone)  # whose bytes have been sent by now
    assert exchange.deadline == pytest.approx(started + INTERVAL)


def test_the_next_node_is_probed_only_when_the_last_probe_is_over() -> None:
    lone = prober("a", "b", score=3)
    assert probed(lone).seq_no == 1
    started = lone.now
    probed(lone)
    assert lone.now - started == pytest.approx(4 * INTERVAL)


# -- one's own health --------------------------------------------------------------------------------------------------


@pytest.mark.upstream("TestMemberList_ProbeNode_Awareness_Degraded")
def test_in_bad_health_a_probe_gets_more_time_and_all_nacks_leave_the_score_as_it_is() -> None:
    lone = prober("a", "b", "c", score=1)
    target = probed(lone).node
    started = lone.now
    for helper in helpers_of(lone):
        lone.hear(Nack(1), source=helper)
    lone.run_until(lambda: lone.state(target) is State.SUSPECT, within=10.0)
    assert lone.now - started == pytest.approx(2 * INTERVAL)
    assert lone.swim.health_score == 1
    assert lone.swim.counters["probes_degraded"] > 0


@pytest.mark.upstream("TestMemberList_ProbeNode_Awareness_Improved")
def test_an_answered_probe_improves_ones_own_health() -> None:
    lone = prober("a", score=1)
    lone.hear_from("a", Ack(probed(lone).seq_no))
    assert lone.swim.health_score == 0


@pytest.mark.upstream("TestMemberList_ProbeNode_Awareness_MissedNack")
def test_each_missing_nack_worsens_ones_own_health() -> None:
    lone = prober("a", "b", "c")
    target = probed(lone).node
    one, _ = helpers_of(lone)
    lone.hear(Nack(1), source=one)
    lone.run_until(lambda: lone.state(target) is State.SUSPECT, within=INTERVAL)
    assert lone.swim.health_score == 1


def test_many_nacks_of_one_helper_count_as_one() -> None:
    lone = prober("a", "b", "c")
    target = probed(lone).node
    one, _ = helpers_of(lone)
    lone.hear(*[Nack(1)] * 10, source=one)
    lone.run_until(lambda: lone.state(target) is State.SUSPECT, within=INTERVAL)
    assert lone.swim.health_score == 1


@pytest.mark.upstream("TestMemberList_ProbeNode_Awareness_OldProtocol")
def test_without_helpers_that_send_nacks_a_failed_probe_worsens_it_by_one() -> None:
    lone = Lone()
    lone.knows("a", "b", "c", vsn=NO_NACKS)
    target = probed(lone).node
    assert [request.nack for request in asked_helpers(lone)] == [False, False]
    lone.run_until(lambda: lone.state(target) is State.SUSPECT, within=INTERVAL)
    assert lone.swim.health_score == 1


def test_a_node_that_stood_still_blames_nobody() -> None:
    """Stopped for ten seconds in the middle of a probe: the ack may have come and gone meanwhile."""
    lone = prober("a", "b")
    probed(lone)
    lone.now += 10.0
    lone.swim.advance(lone.now)
    assert lone.happened(NodeSuspected) == []
    assert lone.swim.health_score == 1
    assert lone.swim.counters["stood_still"] == 1


# -- waiting for answers -----------------------------------------------------------------------------------------------


@pytest.mark.upstream("TestMemberList_setProbeChannels", "TestMemberList_setAckHandler")
def test_nothing_waits_for_an_ack_once_the_probe_is_over() -> None:
    lone = prober("a")
    probed(lone)
    assert lone.swim.awaited == {1}
    lone.run_until(lambda: lone.state("a") is State.SUSPECT, within=INTERVAL)
    assert 1 not in lone.swim.awaited
    score = lone.swim.health_score
    lone.hear(Ack(1))
    assert (lone.state("a"), lone.swim.health_score) == (State.SUSPECT, score)


@pytest.mark.upstream("TestMemberList_invokeAckHandler")
def test_an_ack_for_nothing_changes_nothing() -> None:
    lone = prober("a", score=2)
    probed(lone)
    lone.hear_from("a", Ack(77), Nack(78))
    assert lone.swim.awaited == {1}
    assert lone.swim.health_score == 2
    lone.hear_from("a", Ack(1))
    assert not lone.swim.awaited


@pytest.mark.upstream("TestMemberList_invokeAckHandler_Channel_Ack", "TestMemberlist_PingDelegate")
def test_an_ack_is_reported_once_with_its_round_trip_time_and_payload() -> None:
    lone = prober("a")
    probed(lone)
    lone.run(0.02)
    lone.hear_from("a", Ack(1, b"payload"), Ack(1, b"again"))
    (completed,) = lone.happened(PingCompleted)
    assert (completed.name, completed.payload) == ("a", b"payload")
    assert completed.round_trip == pytest.approx(0.02)


def test_a_relayed_ack_tells_no_round_trip_time() -> None:
    lone = prober("a", "b")
    probed(lone)
    (helper,) = helpers_of(lone)
    lone.hear(Ack(1), source=helper)
    assert lone.swim.awaited == set()
    assert lone.happened(PingCompleted) == []


@pytest.mark.upstream("TestMemberList_invokeAckHandler_Channel_Nack")
def test_an_ack_counts_also_after_nacks() -> None:
    lone = prober("a", "b", "c", score=1)
    target = probed(lone).node
    one, other = helpers_of(lone)
    lone.hear(Nack(1), source=one)
    lone.hear(Nack(1), source=other)
    lone.hear_from(target, Ack(1))
    assert lone.swim.health_score == 0
    lone.run(INTERVAL)
    assert lone.state(target) is State.ALIVE


# -- host names --------------------------------------------------------------------------------------------------------


def test_a_host_name_that_no_member_has_is_not_looked_up_for_an_ack() -> None:
    lone = Lone(dialect=Dialect.DOUDOU)
    lone.hear(Ping(1, "me", b"made-up.example", 7946, "stranger"))
    assert lone.sent(Ack) == [(PEER, Ack(1))]


def test_nor_is_it_for_an_indirect_ping() -> None:
    lone = Lone(dialect=Dialect.DOUDOU)
    lone.hear(IndirectPing(1, b"made-up.example", 7946, "target"))
    assert lone.sent() == []
    assert lone.problems() == ["unusable_reply_address"]


def test_a_member_is_answered_at_its_host_name() -> None:
    lone = Lone(dialect=Dialect.DOUDOU)
    lone.hear(alive("a", host="pod-1.example", dialect=Dialect.DOUDOU), Ping(1, "me", b"pod-1.example", 7946, "a"))
    assert lone.sent(Ack) == [(("pod-1.example", 7946), Ack(1))]


# -- answers from elsewhere --------------------------------------------------------------------------------------------


ELSEWHERE = ("10.9.9.9", 7946)


@pytest.mark.parametrize("port", [7946, 9000])
def test_the_ack_of_a_third_host_does_not_keep_a_node_alive(port: int) -> None:
    """Numbers count from 1: it may guess them, as upstream's nodes would let it."""
    lone = prober("a")
    probed(lone)
    for _ in range(20):
        lone.hear(*[Ack(number) for number in range(1, 20)], source=("10.9.9.9", port))
        lone.run(0.1)
    assert lone.state("a") is State.SUSPECT
    assert "answer_from_elsewhere" in lone.problems()


def test_the_ack_of_another_process_on_the_targets_host_does_not_count() -> None:
    lone = prober("a")
    probed(lone)
    lone.hear(Ack(1), source=(lone.node("a").host, 9000))
    assert lone.swim.awaited == {1}


def test_an_ack_of_a_member_that_was_not_asked_does_not_count() -> None:
    lone = prober("a", "b", "c", indirect_checks=1)
    target = probed(lone).node
    (helper,) = helpers_of(lone)
    (bystander,) = {"a", "b", "c"} - {target, *(node.name for node in lone.swim.nodes() if node.host == helper[0])}
    lone.hear_from(bystander, Ack(1))
    assert lone.swim.awaited == {1}
    lone.hear(Ack(1), source=helper)
    assert lone.swim.awaited == set()


def test_nacks_of_others_than_the_helpers_do_not_count() -> None:
    lone = prober("a", "b", "c")
    target = probed(lone).node
    asked_helpers(lone)
    lone.hear(Nack(1), source=ELSEWHERE)
    lone.hear_from(target, Nack(1))
    lone.run_until(lambda: lone.state(target) is State.SUSPECT, within=INTERVAL)
    assert lone.swim.health_score == 2


def test_an_ack_from_elsewhere_is_not_relayed() -> None:
    lone = Lone()
    lone.hear(Ack(helped(lone)), source=ELSEWHERE)
    assert lone.sent() == []


@pytest.mark.parametrize(("source", "counts"), [("10.0.3.1", True), ("10.0.3.2", True), ("10.9.9.9", False)])
def test_an_ack_of_a_node_with_a_name_counts_from_the_addresses_of_that_name(source: str, counts: bool) -> None:
    names = {"pod-1.example": ("10.0.3.1", "10.0.3.2")}
    lone = Lone(dialect=Dialect.DOUDOU, hooks=Hooks(addresses=lambda host: names.get(host, ())))
    lone.hear(alive("a", host="pod-1.example", dialect=Dialect.DOUDOU))
    probed(lone)
    lone.hear(Ack(1), source=(source, 7946))
    assert (not lone.swim.awaited) is counts


def test_a_node_with_a_name_that_nobody_knows_is_kept_alive_by_no_ack() -> None:
    """Nothing was sent to it that could be answered; anybody else at that port would do, else."""
    lone = Lone(dialect=Dialect.DOUDOU, hooks=Hooks(addresses=lambda host: ()))
    lone.hear(alive("a", host="made-up.example", dialect=Dialect.DOUDOU))
    probed(lone)
    lone.hear(Ack(1), source=ELSEWHERE)
    assert lone.swim.awaited == {1}


def test_another_spelling_of_an_address_is_the_same_address() -> None:
    lone = Lone(dialect=Dialect.DOUDOU)
    lone.hear(alive("a", host="fd00:0:0::1", dialect=Dialect.DOUDOU))
    probed(lone)
    lone.hear(Ack(1), source=("fd00::1", 7946))
    assert not lone.swim.awaited


# -- being probed ------------------------------------------------------------------------------------------------------


@pytest.mark.upstream("TestHandlePing")
def test_a_ping_is_acked_at_the_address_it_names() -> None:
    lone = Lone()
    lone.hear(Ping(42, "me", bytes((10, 0, 0, 7)), 8000, "a"), source=("10.9.9.9", 1))
    assert lone.sent() == [(("10.0.0.7", 8000), Ack(42))]


def test_a_ping_without_an_address_is_acked_where_it_came_from() -> None:
    lone = Lone()
    lone.hear(Ping(42, "me"), Ping(43), source=("10.9.9.9", 1))
    assert lone.sent() == [(("10.9.9.9", 1), Ack(42)), (("10.9.9.9", 1), Ack(43))]


@pytest.mark.upstream("TestHandlePing_WrongNode")
def test_a_ping_for_another_node_is_not_acked() -> None:
    lone = Lone()
    lone.hear(Ping(42, "me-before-the-restart"))
    assert lone.sent() == []
    assert lone.problems() == ["ping_for_another_node"]


def test_the_application_may_put_something_into_the_ack() -> None:
    lone = Lone(hooks=Hooks(ack_payload=lambda: b"coordinates"))
    lone.hear(Ping(1, "me"))
    assert lone.sent() == [(PEER, Ack(1, b"coordinates"))]


@pytest.mark.upstream("TestHandleCompoundPing")
def test_three_pings_in_one_packet_get_three_acks() -> None:
    lone = Lone()
    lone.hear(compound([Ping(number, "me").encode() for number in (1, 2, 3)])[0])
    assert lone.sent() == [(PEER, Ack(1)), (PEER, Ack(2)), (PEER, Ack(3))]


@pytest.mark.upstream("TestSendMsg_Piggyback")
def test_an_ack_takes_along_what_gossip_has_to_spread() -> None:
    lone = Lone()
    lone.hear(alive("a"))
    lone.hear(Ping(1, "me"))
    ((_, datagram),) = lone.packets()
    assert datagram[:2] == b"\x07\x02"
    lone.hear(Ping(2, "me"))
    assert lone.sent() == [(PEER, Ack(2)), (PEER, alive("a"))]


# -- the buddy system --------------------------------------------------------------------------------------------------


@pytest.mark.upstream("TestMemberList_ProbeNode_Buddy")
def test_a_suspect_is_told_of_the_suspicion_along_with_the_ping() -> None:
    lone = prober("a")
    lone.hear(Suspect(1, "a", "x"))
    lone.packets()

    def pinged() -> bool:
        packets = lone.sent()
        found.extend(message for _, message in packets if any(isinstance(each, Ping) for _, each in packets))
        return bool(found)

    found: list[Any] = []
    lone.run_until(pinged, within=INTERVAL)
    ping, suspicion = found[:2]
    assert ping.node == "a"
    assert suspicion == Suspect(1, "a", "me")


@pytest.mark.upstream("TestMemberList_ProbeNode_Buddy")
def test_a_node_that_hears_it_with_a_ping_acks_and_refutes() -> None:
    lone = Lone()
    lone.hear(compound([Ping(1, "me").encode(), Suspect(1, "me", "a").encode()])[0])
    assert [message for _, message in lone.sent(Ack)] == [Ack(1)]
    (refutation,) = lone.gossip()
    assert isinstance(refutation, Alive)
    assert (refutation.node, refutation.incarnation) == ("me", 2)


# -- helping -----------------------------------------------------------------------------------------------------------

REQUESTER = ("10.0.0.7", 7000)
TARGET = ("10.0.0.8", 7946)


def request(lone: Lone, *, nack: bool = True, target: bytes = bytes((10, 0, 0, 8)), port: int = 7946) -> IndirectPing:
    return IndirectPing(100, target, port, "target", nack, bytes((10, 0, 0, 7)), 7000, "requester")


def helped(lone: Lone, **fields: Any) -> int:
    """Ask for help; the sequence number of the ping that goes out."""
    lone.hear(request(lone, **fields))
    ((to, ping),) = lone.sent()
    assert to == TARGET
    assert (ping.node, ping.source_node, ping.source_addr) == ("target", "me", bytes((10, 0, 0, 1)))
    return int(ping.seq_no)


@pytest.mark.upstream("TestHandleIndirectPing")
def test_an_ack_comes_back_under_the_requesters_sequence_number() -> None:
    lone = Lone()
    lone.hear(Ack(helped(lone), b"payload"), source=TARGET)
    assert lone.sent() == [(REQUESTER, Ack(100))]
    lone.run(INTERVAL)
    assert lone.sent(Nack) == []


@pytest.mark.upstream("TestHandleIndirectPing")
def test_a_nack_is_sent_early_enough_to_count() -> None:
    """At 80 % of what the requester has left; upstream's comes after the requester has given up."""
    lone = Lone()
    sequence = helped(lone)
    assert lone.until_sent(Nack) == [(REQUESTER, Nack(100))]
    assert lone.now == pytest.approx(0.8 * TIMEOUT)
    lone.hear(Ack(sequence), source=TARGET)
    assert lone.sent() == [(REQUESTER, Ack(100))]


def test_no_nack_is_sent_to_those_who_do_not_ask_for_it() -> None:
    lone = Lone()
    helped(lone, nack=False)
    lone.run(INTERVAL)
    assert lone.sent(Nack) == []


def test_an_ack_that_comes_too_late_is_not_relayed() -> None:
    lone = Lone()
    sequence = helped(lone)
    lone.run(INTERVAL)
    lone.packets()
    lone.hear(Ack(sequence), source=TARGET)
    assert lone.sent() == []


@pytest.mark.parametrize(("target", "port"), [(b"", 7946), (b"\x01\x02\x03", 7946), (bytes((10, 0, 0, 8)), 0)])
def test_help_for_an_address_that_cannot_be_reached_is_refused(target: bytes, port: int) -> None:
    lone = Lone()
    lone.hear(request(lone, target=target, port=port))
    assert lone.sent() == []
    assert lone.problems() == ["unusable_reply_address"]


def test_only_so_many_nodes_are_helped_at_a_time() -> None:
    lone = Lone()
    lone.hear(*[request(lone)] * (MAX_WAITING + 10))
    assert Counter(lone.problems()) == {"too_many_indirect_pings": 10}
    lone.run(INTERVAL)
    assert not lone.swim.awaited


def test_genuine_crashes_cost_a_healthy_cluster_no_health() -> None:
    """Upstream's nacks come too late, so each crash costs every prober a point for each helper."""
    world = World()
    swims = world.start("a", "b", "c", "d", "e")
    world.off("e")
    world.run_until(lambda: world.view("a").get("e") is State.DEAD, within=60.0)
    assert [swim.health_score for swim in swims[:4]] == [0, 0, 0, 0]


# -- pings for the owner -----------------------------------------------------------------------------------------------


@pytest.mark.upstream("TestMemberList_Ping")
def test_a_ping_for_the_owner_tells_the_round_trip_time() -> None:
    lone = prober("a")
    answers: list[float | None] = []
    lone.swim.application.ping("a", lone.now, answers.append)
    ((to, ping),) = lone.sent(Ping)
    assert to == (lone.node("a").host, 7946)
    lone.run(0.03)
    lone.hear_from("a", Ack(ping.seq_no))
    assert answers == [pytest.approx(0.03)]
    lone.run(INTERVAL)
    assert len(answers) == 1


@pytest.mark.upstream("TestMemberList_Ping")
def test_a_ping_for_the_owner_that_nobody_acks_ends_after_the_probe_timeout() -> None:
    """A wrong name is such a case: the node at that address does not answer to it."""
    world = World()
    me, _ = world.start("me", "a")
    answers: list[float | None] = []
    me.application.ping(("another name", world.address("a")), world.now, answers.append)
    world.run(TIMEOUT + 0.01)
    assert answers == [None]
    assert world.view("me")["a"] is State.ALIVE
    with pytest.raises(KeyError):
        me.application.ping("nobody", world.now, answers.append)


@pytest.mark.upstream("TestMemberlist_PingDelegate")
def test_answered_probes_are_reported_with_what_the_other_application_says() -> None:
    world = World()
    world.add("me")
    world.add("a", hooks=Hooks(ack_payload=lambda: b"whatever"))
    world.join("a", "me")
    world.run(3.0)
    completed = world.events("me", PingCompleted)
    assert len(completed) >= 2
    assert {(event.name, event.payload) for event in completed} == {("a", b"whatever")}
