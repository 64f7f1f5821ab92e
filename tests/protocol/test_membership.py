"""What alive, suspect and dead do to the node list (SWIM section 4.2)."""

from __future__ import annotations

import pytest
from support.cluster import PEER, Lone, World, alive, decoded

from pydoudou.drivers.memberlist.protocol import Dialect, Hooks, State
from pydoudou.drivers.memberlist.protocol.admission import MAX_INCARNATION, MAX_INCARNATION_JUMP, MAX_REPORTED_JUMP
from pydoudou.drivers.memberlist.protocol.events import (
    NodeConflict,
    NodeJoined,
    NodeLeft,
    NodeRefuted,
    NodeSuspected,
    NodeUpdated,
)
from pydoudou.drivers.memberlist.protocol.message_types import MessageType
from pydoudou.drivers.memberlist.protocol.messages import Ack, Alive, Dead, Ping, Suspect

LONGEST_SUSPICION = 24.0
"""LAN, of up to ten nodes."""


def knowing(name: str = "a", incarnation: int = 1, *, meta: bytes | None = None, **changes: object) -> Lone:
    """A node that knows one other, whose events and gossip have been taken out."""
    lone = Lone(**changes)  # type: ignore[arg-type]
    lone.hear(alive(name, incarnation, meta=meta))
    lone.events()
    lone.packets()
    lone.forget_gossip()
    return lone


def silent(lone: Lone) -> bool:
    """Whether nothing happened and nothing is to be passed on."""
    return lone.events() == [] and lone.gossip() == []


# -- alive -------------------------------------------------------------------------------------------------------------


@pytest.mark.upstream("TestMemberList_AliveNode_NewNode")
def test_a_new_node_is_added_told_to_the_application_and_passed_on() -> None:
    lone = Lone()
    lone.hear(alive("a", meta=b"meta"))
    (joined,) = lone.happened(NodeJoined)
    assert (joined.node.name, joined.node.state, joined.node.meta) == ("a", State.ALIVE, b"meta")
    assert (joined.node.host, joined.node.port, joined.node.incarnation) == ("10.0.0.9", 7946, 1)
    assert lone.node("a") == joined.node
    assert lone.gossip() == [alive("a", meta=b"meta")]


@pytest.mark.upstream("TestMemberList_AliveNode_SuspectNode")
def test_a_suspect_is_cleared_by_a_newer_statement_and_not_by_the_old_one() -> None:
    lone = knowing()
    lone.hear(Suspect(1, "a", "x"))
    lone.events()
    lone.forget_gossip()
    lone.hear(alive("a"))
    assert lone.state("a") is State.SUSPECT
    assert silent(lone)
    lone.hear(alive("a", 2))
    assert lone.state("a") is State.ALIVE
    assert [type(event) for event in lone.events()] == [NodeRefuted]
    assert lone.gossip() == [alive("a", 2)]


@pytest.mark.upstream("TestMemberList_AliveNode_Idempotent")
def test_a_newer_statement_of_a_live_node_is_passed_on_and_is_no_event() -> None:
    lone = knowing()
    changed = lone.swim.record("a").state_changed  # type: ignore[union-attr]
    lone.now += 10
    lone.hear(alive("a", 2))
    assert lone.swim.record("a").state_changed == changed  # type: ignore[union-attr]
    assert lone.events() == []
    assert lone.gossip() == [alive("a", 2)]
    lone.forget_gossip()
    lone.hear(alive("a", 2), alive("a", 1))
    assert silent(lone)


@pytest.mark.upstream("TestMemberList_AliveNode_ChangeMeta")
def test_new_metadata_replace_the_old_ones_and_are_told() -> None:
    lone = knowing(meta=b"old")
    lone.hear(alive("a", 2, meta=b"new"))
    (updated,) = lone.happened(NodeUpdated)
    assert updated.node.meta == lone.node("a").meta == b"new"


def test_metadata_that_are_nil_or_empty_are_the_same() -> None:
    lone = knowing(meta=None)
    lone.hear(alive("a", 2, meta=b""))
    assert lone.events() == []


def test_new_metadata_do_not_count_at_the_old_incarnation() -> None:
    lone = knowing(meta=b"old")
    lone.hear(alive("a", 1, meta=b"new"))
    assert lone.node("a").meta == b"old"


@pytest.mark.upstream("TestMemberList_AliveNode_Refute")
def test_what_others_say_about_us_with_other_metadata_is_refuted_and_ours_stay() -> None:
    lone = Lone(meta=b"ours")
    lone.hear(alive("me", 2, host="10.0.0.1", meta=b"not ours"))
    assert lone.node("me").meta == b"ours"
    assert lone.gossip() == [alive("me", 3, host="10.0.0.1", meta=b"ours")]
    assert lone.events() == []


def test_an_echo_of_what_we_said_is_not_refuted() -> None:
    lone = Lone(meta=b"ours")
    lone.hear(alive("me", 1, host="10.0.0.1", meta=b"ours"))
    assert silent(lone)


def test_a_former_process_of_our_name_is_outdone() -> None:
    """It had refuted five times; its peers believe incarnation 6 until we say more."""
    lone = Lone()
    lone.hear(alive("me", 6, host="10.0.0.1"))
    assert lone.gossip() == [alive("me", 7, host="10.0.0.1")]


# -- names and addresses -----------------------------------------------------------------------------------------------


@pytest.mark.upstream("TestMemberList_AliveNode_Conflict", "TestMemberlist_conflictDelegate")
def test_a_name_is_not_taken_over_from_another_address_while_its_node_lives() -> None:
    lone = knowing(dead_node_reclaim_time=10.0)
    lone.hear(alive("a", 2, host="10.0.0.66", meta=b"stolen"))
    (conflict,) = lone.happened(NodeConflict)
    assert (conflict.node, conflict.other) == (lone.node("a"), ("10.0.0.66", 7946))
    assert (lone.node("a").host, lone.node("a").meta) == ("10.0.0.9", b"")
    assert lone.gossip() == []
    lone.hear(alive("a", 2, port=7000))
    assert [event.other for event in lone.happened(NodeConflict)] == [("10.0.0.9", 7000)]


@pytest.mark.upstream("TestMemberList_AliveNode_Conflict")
def test_the_name_of_a_dead_node_is_taken_over_after_the_reclaim_time() -> None:
    lone = knowing(dead_node_reclaim_time=10.0)
    lone.hear(Dead(1, "a", "x"))
    lone.now += 5.0
    lone.hear(alive("a", 2, host="10.0.0.66"))
    assert lone.state("a") is State.DEAD
    assert len(lone.happened(NodeConflict)) == 1
    lone.now += 5.1
    lone.hear(alive("a", 2, host="10.0.0.66", meta=b"new"))
    (joined,) = lone.happened(NodeJoined)
    assert (joined.node.host, joined.node.meta, joined.node.state) == ("10.0.0.66", b"new", State.ALIVE)


def test_without_a_reclaim_time_the_name_of_a_dead_node_is_never_taken_over() -> None:
    lone = knowing(dead_node_reclaim_time=0.0)
    lone.hear(Dead(1, "a", "x"))
    lone.now += 20.0
    lone.hear(alive("a", 2, host="10.0.0.66"))
    assert lone.state("a") is State.DEAD


def test_a_restarted_node_that_takes_over_its_name_may_begin_at_incarnation_one() -> None:
    lone = knowing(incarnation=8, dead_node_reclaim_time=1.0)
    lone.hear(Dead(8, "a", "x"))
    lone.now += 2.0
    lone.hear(alive("a", 1, host="10.0.0.66"))
    assert (lone.state("a"), lone.node("a").incarnation) == (State.ALIVE, 1)


def test_somebody_else_who_claims_our_name_is_a_conflict_and_nothing_more() -> None:
    lone = Lone()
    lone.hear(alive("me", 9, host="10.0.0.66"))
    assert [event.other for event in lone.happened(NodeConflict)] == [("10.0.0.66", 7946)]
    assert lone.gossip() == []
    assert lone.node("me").incarnation == 1


def test_the_two_spellings_of_an_ipv4_address_are_no_conflict() -> None:
    """A Go node that listens on all interfaces sends the long one; upstream sees a conflict here."""
    lone = knowing()
    spelled = Alive(2, "a", bytes(10) + b"\xff\xff" + bytes((10, 0, 0, 9)), 7946, None, bytes((1, 5, 2, 0, 0, 0)))
    lone.hear(spelled)
    assert lone.happened(NodeConflict) == []
    assert lone.gossip() == [spelled]


def test_text_addresses_are_compared_as_text() -> None:
    lone = Lone(dialect=Dialect.DOUDOU)
    lone.hear(alive("a", host="localhost", dialect=Dialect.DOUDOU))
    lone.events()
    lone.hear(alive("a", 2, host="127.0.0.1", dialect=Dialect.DOUDOU))
    assert len(lone.happened(NodeConflict)) == 1


# -- suspect -----------------------------------------------------------------------------------------------------------


@pytest.mark.upstream("TestMemberList_SuspectNode_NoNode")
def test_a_suspicion_of_an_unknown_node_is_ignored() -> None:
    lone = Lone()
    lone.hear(Suspect(1, "nobody", "x"))
    assert lone.swim.known == 1
    assert silent(lone)


@pytest.mark.upstream("TestMemberList_SuspectNode")
def test_a_suspicion_is_passed_on_and_ends_in_a_death_that_is_passed_on() -> None:
    lone = knowing()
    lone.hear(Suspect(1, "a", "x"))
    assert lone.state("a") is State.SUSPECT
    assert [event.node.name for event in lone.happened(NodeSuspected)] == ["a"]
    assert lone.gossip() == [Suspect(1, "a", "x")]
    lone.run_until(lambda: lone.state("a") is State.DEAD, within=LONGEST_SUSPICION)
    assert [event.node.state for event in lone.happened(NodeLeft)] == [State.DEAD]
    assert lone.gossip() == [Dead(1, "a", "me")]


def test_a_suspect_is_told_once_more_just_before_it_is_declared_dead() -> None:
    """Gossip may have passed it by; upstream then holds it dead until a push/pull."""
    lone = knowing()
    lone.hear(Suspect(1, "a", "x"))
    lone.run(3.4)
    lone.packets()
    lone.run(0.2)
    alone = [decoded(datagram, lone.config) for to, datagram in lone.packets() if to == PEER]
    assert [Suspect(1, "a", "me")] in alone
    lone.hear(alive("a", 2))
    lone.run(0.5)
    assert lone.state("a") is State.ALIVE


@pytest.mark.upstream("TestMemberList_SuspectNode_DoubleSuspect")
def test_the_same_reporter_twice_changes_nothing() -> None:
    lone = knowing()
    lone.hear(Suspect(1, "a", "x"))
    lone.events()
    lone.forget_gossip()
    changed = lone.swim.record("a").state_changed  # type: ignore[union-attr]
    lone.now += 0.5
    lone.hear(Suspect(1, "a", "x"))
    assert lone.swim.record("a").state_changed == changed  # type: ignore[union-attr]
    assert silent(lone)


def test_another_reporter_is_passed_on() -> None:
    lone = Lone()
    lone.knows("a", "b", "c", "d", "e")
    lone.hear(Suspect(1, "a", "x"))
    lone.forget_gossip()
    lone.hear(Suspect(1, "a", "y"))
    assert lone.gossip() == [Suspect(1, "a", "y")]


@pytest.mark.upstream("TestMemberList_SuspectNode_OldSuspect")
def test_a_suspicion_of_an_old_incarnation_is_ignored() -> None:
    lone = knowing(incarnation=10)
    lone.hear(Suspect(9, "a", "x"))
    assert lone.state("a") is State.ALIVE
    assert silent(lone)


@pytest.mark.upstream("TestMemberList_SuspectNode_Refute")
def test_a_suspicion_of_ourselves_is_refuted_and_worsens_our_health() -> None:
    lone = Lone(meta=b"ours")
    lone.hear(Suspect(1, "me", "x"))
    assert lone.state("me") is State.ALIVE
    assert lone.gossip() == [alive("me", 2, host="10.0.0.1", meta=b"ours")]
    assert lone.swim.health_score == 1


def test_a_refutation_is_above_the_report_however_high_that_is() -> None:
    lone = Lone()
    lone.hear(Suspect(700, "me", "x"))
    assert lone.node("me").incarnation == 701
    lone.hear(Suspect(1, "me", "x"))
    assert lone.node("me").incarnation == 701


def test_our_refutation_goes_to_the_reporter_directly_too() -> None:
    lone = knowing()
    lone.hear(Suspect(1, "me", "a"))
    assert lone.sent() == [(PEER, alive("me", 2, host="10.0.0.1"))]


@pytest.mark.parametrize("report", [Suspect(1, "me", "a"), Dead(1, "me", "a")], ids=["suspect", "dead"])
def test_who_repeats_a_report_that_we_have_refuted_gets_the_refutation_again(report: Suspect | Dead) -> None:
    lone = knowing()
    lone.hear(report)
    lone.packets()
    lone.forget_gossip()
    for _ in range(2):
        lone.hear(report, report)
        assert lone.sent() == [(PEER, alive("me", 2, host="10.0.0.1"))]
        lone.now += 1.0
    assert lone.gossip() == []
    assert lone.swim.health_score == 1


def test_a_node_whose_refutation_was_lost_is_not_declared_dead() -> None:
    """It acks every ping; upstream ignores the report that comes along, as it is at a higher incarnation by now."""
    world = World()
    world.start("me", "peer")
    world.passes = lambda source, target, transport: transport == "udp" and source != "me"
    world.run_until(lambda: world.view("peer")["me"] is State.SUSPECT, within=3.0)
    world.run(1.5)
    refutations = [part for part in world.swim("me").gossip(1 << 16) if part[0] == MessageType.ALIVE]
    assert refutations == []
    world.passes = lambda source, target, transport: transport == "udp"
    world.run_until(lambda: world.view("peer")["me"] is State.ALIVE, within=2.5)
    assert world.events("peer", NodeLeft) == []


def test_our_refutation_replaces_the_report_in_the_queue() -> None:
    """Upstream queues it under our address, so both go on being told."""
    lone = Lone()
    lone.knows("a")
    lone.hear(Suspect(1, "me", "x"), Dead(2, "me", "x"))
    assert lone.gossip() == [alive("me", 3, host="10.0.0.1")]


# -- dead, left --------------------------------------------------------------------------------------------------------


@pytest.mark.upstream("TestMemberList_DeadNode_NoNode")
def test_the_death_of_an_unknown_node_is_ignored() -> None:
    lone = Lone()
    lone.hear(Dead(1, "nobody", "x"))
    assert lone.swim.known == 1
    assert silent(lone)


@pytest.mark.upstream("TestMemberList_DeadNode")
def test_a_death_is_told_to_the_application_and_passed_on() -> None:
    lone = knowing()
    lone.hear(Dead(1, "a", "x"))
    (left,) = lone.happened(NodeLeft)
    assert (left.node.name, left.node.state) == ("a", State.DEAD)
    assert lone.gossip() == [Dead(1, "a", "x")]


@pytest.mark.upstream("TestMemberList_DeadNodeLeft")
def test_a_node_that_declares_itself_dead_has_left_and_may_return_from_anywhere_at_once() -> None:
    lone = knowing(dead_node_reclaim_time=30.0)
    lone.hear(Dead(1, "a", "a"))
    (left,) = lone.happened(NodeLeft)
    assert left.node.state is State.LEFT
    assert lone.gossip() == [Dead(1, "a", "a")]
    lone.hear(alive("a", 3, host="10.0.0.66", port=7000, meta=b"new"))
    (joined,) = lone.happened(NodeJoined)
    assert (joined.node.host, joined.node.port, joined.node.meta) == ("10.0.0.66", 7000, b"new")


@pytest.mark.upstream("TestMemberList_DeadNode_Double")
def test_a_second_death_is_told_to_nobody() -> None:
    lone = knowing()
    lone.hear(Dead(1, "a", "x"))
    lone.events()
    lone.forget_gossip()
    lone.hear(Dead(2, "a", "y"), Dead(2, "a", "a"))
    assert lone.state("a") is State.DEAD
    assert silent(lone)


@pytest.mark.upstream("TestMemberList_DeadNode_OldDead")
def test_a_death_of_an_old_incarnation_is_ignored() -> None:
    lone = knowing(incarnation=10)
    lone.hear(Dead(1, "a", "x"))
    assert lone.state("a") is State.ALIVE
    assert silent(lone)


@pytest.mark.upstream("TestMemberList_DeadNode_AliveReplay")
def test_an_alive_message_of_the_same_incarnation_does_not_raise_the_dead() -> None:
    lone = knowing(incarnation=10)
    lone.hear(Dead(10, "a", "x"))
    lone.events()
    lone.forget_gossip()
    lone.hear(alive("a", 10))
    assert lone.state("a") is State.DEAD
    assert silent(lone)


@pytest.mark.parametrize("report", [Dead(20, "a", "y"), Suspect(20, "a", "y")], ids=["dead", "suspect"])
def test_a_later_report_of_the_dead_raises_what_their_return_has_to_beat(report: Dead | Suspect) -> None:
    lone = knowing(incarnation=10)
    lone.hear(Dead(10, "a", "x"), report, alive("a", 20))
    assert lone.state("a") is State.DEAD
    lone.hear(alive("a", 21))
    assert lone.state("a") is State.ALIVE


@pytest.mark.upstream("TestMemberList_DeadNode_Refute")
def test_our_own_death_is_refuted_and_worsens_our_health() -> None:
    lone = Lone(meta=b"ours")
    lone.hear(Dead(1, "me", "x"))
    assert lone.state("me") is State.ALIVE
    assert lone.gossip() == [alive("me", 2, host="10.0.0.1", meta=b"ours")]
    assert lone.swim.health_score == 1
    assert lone.happened(NodeLeft) == []


def test_a_dead_node_that_says_it_lives_is_told_what_it_has_to_beat() -> None:
    """A restarted node begins at 1; upstream leaves it dead until somebody's push/pull reaches it."""
    lone = knowing(incarnation=10)
    lone.hear(Dead(10, "a", "x"))
    lone.run(5.0)
    lone.packets()
    lone.hear(alive("a", 1))
    assert lone.sent() == [(PEER, Suspect(10, "a", "me"))]
    lone.hear(alive("a", 1))
    assert lone.sent() == []


def test_a_pending_suspicion_ends_with_the_death_that_comes_first() -> None:
    lone = knowing()
    lone.hear(Suspect(1, "a", "x"))
    assert lone.swim.record("a").suspicion is not None  # type: ignore[union-attr]
    lone.hear(Dead(1, "a", "y"), alive("a", 2))
    assert len(lone.happened(NodeLeft)) == 1
    assert lone.swim.record("a").suspicion is None  # type: ignore[union-attr]


# -- who is let in -----------------------------------------------------------------------------------------------------


@pytest.mark.upstream("TestMemberList_ProbeNode_Wrong_VSN")
@pytest.mark.parametrize(
    "vsn",
    [bytes(6), b"", b"\x01\x05", b"\x01\x05\x02\x00\x00", bytes((3, 5, 2, 0, 0, 0)), bytes((5, 4, 5, 0, 0, 0))],
    ids=["all zero", "none", "two", "five", "spoken below the least", "least above the most"],
)
def test_a_node_of_impossible_versions_is_not_admitted(vsn: bytes) -> None:
    lone = Lone()
    lone.hear(alive("a", vsn=vsn))
    assert lone.state("a") is None
    assert lone.problems() == ["alive_refused"]


@pytest.mark.parametrize(
    "message",
    [
        alive("", 1),
        alive("x" * 513),
        alive("a", meta=bytes(513)),
        alive("a", port=0),
        alive("a", 0),
        Alive(1, "a", b"", 7946, None, bytes((1, 5, 2, 0, 0, 0))),
        Alive(1, "a", b"10.0.0.9", 7946, None, bytes((1, 5, 2, 0, 0, 0))),
        alive("a", host="0.0.0.0"),
        alive("a", host="224.0.0.1"),
        alive("a", host="255.255.255.255"),
        alive("a", host="::"),
        alive("a", MAX_INCARNATION),
    ],
    ids=[
        "no name",
        "long name",
        "long metadata",
        "port 0",
        "incarnation 0",
        "no address",
        "text address",
        "everywhere",
        "a group",
        "everybody",
        "IPv6 everywhere",
        "incarnation about to wrap",
    ],
)
def test_a_member_that_would_only_do_harm_is_not_admitted(message: Alive) -> None:
    """Upstream admits all of these; some stay in its list for ever, because probing them fails locally."""
    lone = Lone()
    lone.hear(message)
    assert lone.swim.known == 1
    assert lone.problems() == ["alive_refused"]


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "239.1.1.1", "255.255.255.255", "::", "ff02::1", "::ffff:224.0.0.1", "a b", "http://x"]
)
def test_in_text_too(host: str) -> None:
    lone = Lone(dialect=Dialect.DOUDOU)
    lone.hear(alive("a", host=host, dialect=Dialect.DOUDOU))
    assert lone.problems() == ["alive_refused"]


@pytest.mark.parametrize(
    "host", ["10.0.0.9", "node-1", "224.0.0.1.nodes", "999.0.0.1", "pod-3.svc.local", "fd00::9", "::ffff:10.0.0.9"]
)
def test_names_and_literals_are_good_addresses_in_text(host: str) -> None:
    lone = Lone(dialect=Dialect.DOUDOU)
    lone.hear(alive("a", host=host, dialect=Dialect.DOUDOU))
    assert lone.node("a").host == host


@pytest.mark.parametrize(
    "message",
    [
        alive("a", 2 + MAX_INCARNATION_JUMP),
        Suspect(2 + MAX_REPORTED_JUMP, "a", "x"),
        Dead(2 + MAX_REPORTED_JUMP, "a", "x"),
        Suspect(2 + MAX_REPORTED_JUMP, "me", "x"),
        Suspect(MAX_INCARNATION, "me", "x"),
        Dead(2**32 - 1, "me", "x"),
    ],
)
def test_a_leap_in_the_incarnation_is_refused(message: Alive | Suspect | Dead) -> None:
    """One forged message would bring a node to where upstream's counter wraps, and it could never refute again."""
    lone = knowing()
    lone.hear(message)
    assert (lone.node("a").incarnation, lone.state("a")) == (1, State.ALIVE)
    assert lone.node("me").incarnation == 1
    assert lone.problems() in (["alive_refused"], ["incarnation_refused"])


@pytest.mark.parametrize("kind", [Suspect, Dead])
def test_what_a_node_adopts_from_a_report_the_others_accept(kind: type[Suspect | Dead]) -> None:
    """However often in a row, before they have heard of the first refutation."""
    lone, other = knowing(), Lone(name="other", advertise_host="10.0.0.2")
    other.hear(alive("me", host="10.0.0.1"))
    for _ in range(100):
        lone.hear(kind(lone.node("me").incarnation + MAX_REPORTED_JUMP, "me", "x"))
    assert lone.node("me").incarnation > 100 * MAX_REPORTED_JUMP
    other.hear(*(message for _, message in lone.sent(Alive)), *lone.gossip())
    assert other.node("me").incarnation == lone.node("me").incarnation


def test_a_node_that_was_driven_to_the_last_incarnation_begins_anew() -> None:
    """The others hold it dead then, forget it, and take it in again."""
    lone = knowing()
    incarnation = 1
    while incarnation < MAX_INCARNATION - 1:
        incarnation = min(incarnation + MAX_REPORTED_JUMP, MAX_INCARNATION - 2)
        lone.hear(Suspect(incarnation, "me", "x"))
        incarnation += 1
    assert lone.node("me").incarnation == MAX_INCARNATION - 1
    lone.hear(Suspect(MAX_INCARNATION - 1, "me", "x"))
    assert lone.node("me").incarnation == 1
    assert lone.state("me") is State.ALIVE


@pytest.mark.upstream("TestMemberlist_Join_Cancel_Passive")
def test_the_application_may_refuse_a_member() -> None:
    asked: list[tuple[str, str, int, bytes]] = []

    def admit(*member: object) -> bool:
        asked.append(member)  # type: ignore[arg-type]
        return False

    lone = Lone(hooks=Hooks(admit=admit))
    lone.hear(alive("a", meta=b"meta"))
    assert asked == [("a", "10.0.0.9", 7946, b"meta")]
    assert lone.swim.known == 1
    assert lone.swim.counters["not_admitted"] == 1


def test_nothing_is_dropped_however_much_comes_at_once() -> None:
    """Upstream's queues hold 1,024 messages, and it has to let alive ones overtake the others. Here is no queue."""
    lone = knowing()
    lone.hear(Suspect(1, "a", "x"))
    lone.hear(*[Dead(1, f"n{number}", "x") for number in range(3_000)], alive("a", 2))
    assert lone.state("a") is State.ALIVE
    lone.hear(*[alive(f"n{number}", host=f"10.1.{number >> 8}.{number & 255}") for number in range(2_000)])
    assert lone.swim.known == 2_002


@pytest.mark.upstream("TestMemberList_Members")
def test_the_members_include_the_suspects_and_not_the_dead_or_gone() -> None:
    lone = Lone()
    lone.knows("alive", "suspect", "dead", "left")
    lone.hear(Suspect(1, "suspect", "x"), Dead(1, "dead", "x"), Dead(1, "left", "left"))
    assert {node.name for node in lone.swim.members()} == {"me", "alive", "suspect"}
    assert {node.name for node in lone.swim.nodes()} == {"me", "alive", "suspect", "dead", "left"}


@pytest.mark.upstream("TestMemberList_ResetNodes")
@pytest.mark.parametrize("reporter", ["x", "gone"], ids=["dead", "left"])
def test_the_dead_and_the_gone_are_kept_for_a_while_and_then_forgotten(reporter: str) -> None:
    lone = Lone(gossip_to_the_dead_time=10.0)
    lone.knows("gone", "a")

    def acking(seconds: float) -> None:
        until = lone.now + seconds
        while lone.now < until:
            lone.run(0.1)
            for to, ping in lone.sent(Ping):
                lone.hear(Ack(ping.seq_no), source=to)

    lone.hear(Dead(1, "gone", reporter))
    acking(9.0)
    assert lone.state("gone") is not None
    acking(5.0)
    assert lone.state("gone") is None
    assert lone.state("a") is State.ALIVE
    assert lone.swim.known == 2


def test_a_node_with_nobody_to_probe_forgets_the_dead_too() -> None:
    lone = Lone(gossip_to_the_dead_time=10.0)
    lone.knows("a")
    lone.hear(Dead(1, "a", "x"))
    lone.run(12.0)
    assert lone.swim.known == 1
