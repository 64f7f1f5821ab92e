"""How news spreads: who is told, in which packets, how often; and the application's own messages."""

from __future__ import annotations

import attrs
import pytest
from support.cluster import PEER, Lone, World, alive, decoded

from pydoudou.drivers.memberlist.protocol import Config, Dialect, State
from pydoudou.drivers.memberlist.protocol.application import MAX_DATAGRAM_BYTES
from pydoudou.drivers.memberlist.protocol.events import NodeJoined, RemoteState, UserMessage
from pydoudou.drivers.memberlist.protocol.messages import Dead, Suspect
from pydoudou.drivers.memberlist.protocol.stream_exchange import StreamExchange
from pydoudou.drivers.memberlist.protocol.stream_reader import MAX_USER_BYTES
from pydoudou.drivers.memberlist.protocol.swim import Hooks

GOSSIP_INTERVAL = 0.2
"""The LAN profile."""


@pytest.mark.upstream("TestMemberlist_Gossip")
def test_joins_reach_a_peer_by_gossip_alone() -> None:
    world = World()
    me, _ = world.start("me", "peer")
    world.passes = lambda source, target, transport: transport == "udp"
    for number in range(3):
        me.packet_received(alive(f"new-{number}", host=f"10.0.7.{number}").encode(), ("10.0.7.1", 7946), world.now)
    world.run_until(lambda: len(world.view("peer")) == 5, within=5 * GOSSIP_INTERVAL)
    assert {event.node.name for event in world.events("peer", NodeJoined)} >= {"new-0", "new-1", "new-2"}


@pytest.mark.upstream("TestMemberlist_GossipToDead")
def test_the_recently_dead_are_gossiped_to_and_the_long_dead_and_the_gone_are_not() -> None:
    lone = Lone(gossip_to_the_dead_time=2.0, probe_interval=100.0, probe_timeout=50.0)
    lone.knows("dead", "left", "suspect")
    lone.hear(Dead(1, "dead", "x"), Dead(1, "left", "left"), Suspect(1, "suspect", "x"))

    def told() -> set[str]:
        lone.swim.application.broadcast(b"news", lone.now)
        lone.packets()
        lone.run(2 * GOSSIP_INTERVAL)
        hosts = {to[0] for to, message in lone.sent() if message == b"news"}
        return {node.name for node in lone.swim.nodes() if node.host in hosts}

    assert told() == {"dead", "suspect"}
    lone.now += 2.0
    assert told() == {"suspect"}


def test_a_suspect_hears_of_its_suspicion_first() -> None:
    """From whoever reports it, directly; gossip may take its time."""
    lone = Lone()
    lone.knows("a")
    lone.hear(Suspect(1, "a", "me"))
    assert lone.sent() == [((lone.node("a").host, 7946), Suspect(1, "a", "me"))]


def test_each_tick_tells_as_many_nodes_as_configured() -> None:
    lone = Lone(gossip_nodes=2, probe_interval=100.0, probe_timeout=50.0)
    lone.knows("a", "b", "c", "d", "e")
    lone.swim.application.broadcast(b"news", lone.now)
    targets = [to for to, _ in lone.until_sent(bytes)]
    assert len(set(targets)) == len(targets) == 2


def test_nothing_is_sent_when_there_is_nothing_to_tell() -> None:
    lone = Lone(probe_interval=100.0, probe_timeout=50.0)
    lone.knows("a", "b")
    lone.run(5.0)
    assert lone.packets() == []


def test_news_about_nodes_go_before_the_applications() -> None:
    lone = Lone(udp_buffer_bytes=150, gossip_nodes=1, probe_interval=100.0, probe_timeout=50.0)
    lone.knows("a")
    for number in range(5):
        lone.swim.application.broadcast(b"%20d" % number, lone.now)
    lone.hear(alive("b", host="10.0.7.1"))
    lone.packets()
    lone.run(GOSSIP_INTERVAL)
    first = decoded(lone.packets()[0][1], lone.config)
    assert first[0] == alive("b", host="10.0.7.1")
    assert all(isinstance(message, bytes) for message in first[1:])
    assert len(first) > 1


@pytest.mark.upstream("TestCreate_checkBroadcastQueueMetrics")
def test_the_length_of_the_queue_can_be_read_at_any_time() -> None:
    lone = Lone()
    assert lone.swim.queued == 0
    lone.hear(alive("a"))
    lone.swim.application.broadcast(b"news", lone.now)
    assert lone.swim.queued == 2
    lone.run_until(lambda: lone.swim.queued == 0, within=10.0)


# -- the application's messages ----------------------------------------------------------------------------------------


def payloads(world: World, name: str, *, reliable: bool) -> list[bytes]:
    return [event.payload for event in world.events(name, UserMessage) if event.reliable is reliable]


@pytest.mark.upstream("TestMemberlist_UserData")
def test_256_messages_of_the_application_all_arrive_by_gossip() -> None:
    world = World()
    me, _ = world.start("me", "peer")
    messages = [b"message %d" % number for number in range(256)]
    for message in messages:
        me.application.broadcast(message, world.now)
    world.run_until(lambda: set(payloads(world, "peer", reliable=False)) == set(messages), within=30.0)


@pytest.mark.upstream("TestMemberlist_UserData")
def test_a_message_that_fits_into_no_packet_of_gossip_is_an_error_at_once() -> None:
    lone = Lone()
    lone.knows("a")
    most = lone.config.udp_buffer_bytes - 2 - 5 - 3
    lone.swim.application.broadcast(bytes(most), lone.now)
    with pytest.raises(ValueError, match=f"at most {most} fit"):
        lone.swim.application.broadcast(bytes(most + 1), lone.now)
    assert [message for _, message in lone.until_sent(bytes)] == [bytes(most)]


@pytest.mark.upstream("TestMemberlist_UserData")
def test_a_push_pull_carries_the_applications_state_both_ways() -> None:
    world = World()
    world.add("me", hooks=Hooks(local_state=lambda join: b"mine, join" if join else b"mine"))
    world.add("peer", hooks=Hooks(local_state=lambda join: b"theirs"))
    assert world.join("me", "peer") == ""
    assert world.events("peer", RemoteState) == [RemoteState(b"mine, join", join=True)]
    assert world.events("me", RemoteState) == [RemoteState(b"theirs", join=True)]
    world.run(60.0)
    assert RemoteState(b"mine", join=False) in world.events("peer", RemoteState)


@pytest.mark.upstream("TestMemberlist_SendTo", "TestTransport_Send")
@pytest.mark.parametrize("reliable", [False, True], ids=["best effort", "reliable"])
def test_messages_go_to_one_node_by_its_name_or_its_address(reliable: bool) -> None:
    world = World()
    me, peer = world.start("me", "peer")
    me.application.send("peer", b"by name", world.now, reliable=reliable)
    me.application.send(world.address("peer"), b"by address", world.now, reliable=reliable)
    peer.application.send("me", b"and back", world.now, reliable=reliable)
    world.pump()
    assert payloads(world, "peer", reliable=reliable) == [b"by name", b"by address"]
    assert payloads(world, "me", reliable=reliable) == [b"and back"]
    assert payloads(world, "peer", reliable=not reliable) == []


def test_whether_a_reliable_message_was_handed_over_is_known() -> None:
    world = World()
    me, _ = world.start("me", "peer")
    ended: list[StreamExchange] = []
    me.application.send("peer", b"x" * 100_000, world.now, reliable=True, on_end=ended.append)
    world.pump()
    world.off("peer")
    me.application.send("peer", b"lost", world.now, reliable=True, on_end=ended.append)
    world.pump()
    assert [exchange.failure for exchange in ended] == ["", "connection refused"]


def test_a_message_to_nobody_or_one_that_is_too_long_is_an_error() -> None:
    lone = Lone()
    with pytest.raises(KeyError):
        lone.swim.application.send("nobody", b"x", lone.now, reliable=False)
    for reliable, most in ((False, MAX_DATAGRAM_BYTES), (True, MAX_USER_BYTES)):
        lone.swim.application.send(PEER, bytes(most), lone.now, reliable=reliable)
        with pytest.raises(ValueError, match=f"at most {most}"):
            lone.swim.application.send(PEER, bytes(most + 1), lone.now, reliable=reliable)


def test_an_empty_message_counts_as_a_datagram_and_not_on_a_stream() -> None:
    """As in Go."""
    lone = Lone()
    lone.hear(b"\x08")
    lone.accept(b"\x08\x81\xaaUserMsgLen\x00")
    assert lone.happened(UserMessage) == [UserMessage(b"", reliable=False)]


def test_the_largest_message_with_everything_around_it_fits_into_a_datagram() -> None:
    config = Config("x" * 10, "10.0.0.1", 7946, dialect=Dialect.HASHICORP, label=b"y" * 255, protocol_version=1)
    overhead = 1 + 5 + (2 + len(config.label)) + 45
    assert MAX_DATAGRAM_BYTES + overhead <= 65_507


# -- after a stop ------------------------------------------------------------------------------------------------------


def test_what_was_switched_off_by_an_interval_of_nothing_starts_when_it_gets_one() -> None:
    """Upstream never creates a timer that was off at the start, and dies of one that is set to nothing later."""
    world = World()
    me = world.add("me", push_pull_interval=0.0)
    world.start("a", "b")
    world.join("me", "a")

    def push_pulls(interval: float, seconds: float) -> int:
        me.reconfigure(attrs.evolve(me.config, push_pull_interval=interval), world.now)
        world.run(20.0)
        before = me.counters["push_pulls"]
        world.run(seconds)
        return me.counters["push_pulls"] - before

    assert [push_pulls(0.0, 200.0), push_pulls(10.0, 100.0), push_pulls(0.0, 200.0)] == [0, 10, 0]
    assert world.view("me") == dict.fromkeys(("me", "a", "b"), State.ALIVE)


def test_a_node_that_has_nothing_to_spread_does_not_wake_up_for_it() -> None:
    world = World()
    me, _ = world.start("me", "peer")
    world.run(20.0)
    wakes = set()
    for _ in range(100):
        world.run(0.1)
        wakes.add(me.wake_at)
    assert len(wakes) < 10.0 / me.config.gossip_interval
    me.reconfigure(attrs.evolve(me.config, meta=b"news"), world.now)
    world.run(2 * me.config.gossip_interval)
    assert {node.meta for node in world.swim("peer").nodes() if node.name == "me"} == {b"news"}
