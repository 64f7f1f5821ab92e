"""One gossip node on real sockets, driven as an application would that brings its own driver."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from support.waiting import eventually_async

from pydoudou.drivers.errors import JoinError
from pydoudou.drivers.memberlist.node import GossipNode
from pydoudou.drivers.memberlist.protocol import Config, Dialect, Hooks, State
from pydoudou.drivers.memberlist.protocol.events import Event, NodeJoined, NodeSuspected, UserMessage
from pydoudou.drivers.memberlist.protocol.messages import Alive

Address = tuple[str, int]
FAST: dict[str, Any] = {"probe_interval": 0.3, "probe_timeout": 0.1, "gossip_interval": 0.05, "suspicion_mult": 2}


class Node:
    """A running node, and what it has reported."""

    def __init__(self, node: GossipNode, events: list[Event]) -> None:
        self.node = node
        self.events = events

    @property
    def address(self) -> Address:
        config = self.node.swim.config
        return (config.advertise_host, config.advertise_port)

    def state(self, name: str) -> State | None:
        return next((node.state for node in self.node.swim.nodes() if node.name == name), None)

    def happened(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]


@contextlib.asynccontextmanager
async def running(
    name: str, host: str = "127.0.0.1", *, bind: str = "127.0.0.1", hooks: Hooks | None = None, **changes: Any
) -> AsyncIterator[Node]:
    config = Config.local(name, host, 0, **(FAST | changes))
    events: list[Event] = []

    def collect(batch: Sequence[Event]) -> None:
        events.extend(batch)

    node = GossipNode(config, bind=bind, hooks=hooks, on_events=collect)
    async with anyio.create_task_group() as tasks:
        await tasks.start(node.run)
        yield Node(node, events)
        tasks.cancel_scope.cancel()


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    anyio.run(scenario)


@pytest.mark.upstream("TestMemberList_CreateShutdown")
def test_a_node_that_was_started_can_be_stopped_and_gives_its_port_back() -> None:
    async def scenario() -> None:
        async with running("me") as me:
            address = me.address
            assert [node.name for node in me.node.swim.members()] == ["me"]
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            with socket.socket(socket.AF_INET, kind) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(address)

    run(scenario)


@pytest.mark.upstream("TestAdvertiseAddr")
def test_the_advertised_address_and_port_may_differ_from_those_that_are_bound() -> None:
    async def scenario() -> None:
        node = GossipNode(Config.local("me", "127.0.1.100", 23456), bind="127.0.0.1")
        async with running("peer") as peer, anyio.create_task_group() as tasks:
            await tasks.start(node.run)
            assert await node.join([peer.address]) == 1
            (seen,) = (each for each in peer.node.swim.members() if each.name == "me")
            assert (seen.host, seen.port) == ("127.0.1.100", 23456)
            tasks.cancel_scope.cancel()

    run(scenario)


@pytest.mark.upstream("TestMemberlist_Join_IPv6")
def test_nodes_on_the_ipv6_loopback_address_join_each_other() -> None:
    async def scenario() -> None:
        patient = {"bind": "::1", "probe_interval": 20.0, "probe_timeout": 5.0}
        async with running("me", "::1", **patient) as me, running("peer", "::1", **patient) as peer:
            assert await me.node.join([peer.address]) == 1
            for each in (me, peer):
                await eventually_async(lambda each=each: len(each.node.swim.members()) == 2)
            assert await me.node.ping("peer") > 0

    run(scenario)


@pytest.mark.upstream("TestMemberlist_SendTo", "TestTransport_Send")
def test_messages_of_the_application_arrive_in_every_way_to_send_them() -> None:
    async def scenario() -> None:
        async with running("me") as me, running("peer") as peer:
            await me.node.join([peer.address])
            await me.node.send("peer", b"by name", reliable=False)
            await me.node.send(peer.address, b"by address", reliable=False)
            await me.node.send("peer", b"by name " * 100_000, reliable=True)
            await me.node.send(peer.address, b"by address, reliably", reliable=True)
            me.node.broadcast(b"by gossip")
            await peer.node.send("me", b"and back", reliable=True)
            expected = {
                (b"by name", False),
                (b"by address", False),
                (b"by name " * 100_000, True),
                (b"by address, reliably", True),
                (b"by gossip", False),
            }
            await eventually_async(lambda: {(m.payload, m.reliable) for m in peer.happened(UserMessage)} == expected)
            await eventually_async(lambda: [m.payload for m in me.happened(UserMessage)] == [b"and back"])

    run(scenario)


def test_a_reliable_message_that_cannot_be_handed_over_is_an_error() -> None:
    async def scenario() -> None:
        async with running("me") as me:
            with socket.socket() as closed:
                closed.bind(("127.0.0.1", 0))
                with pytest.raises(ConnectionError, match="cannot connect"):
                    await me.node.send(closed.getsockname(), b"x", reliable=True)

    run(scenario)


@pytest.mark.upstream("TestMemberList_Ping")
def test_a_ping_tells_the_round_trip_time_and_one_for_a_wrong_name_fails() -> None:
    async def scenario() -> None:
        async with running("me", probe_interval=20.0, probe_timeout=5.0) as me, running("peer") as peer:
            await me.node.join([peer.address])
            assert 0 < await me.node.ping("peer") < 5.0
            assert 0 < await me.node.ping("peer", peer.address) < 5.0
        async with running("me") as me, running("peer") as peer:
            with pytest.raises(TimeoutError, match=r"another sent no ack within 0\.1 s"):
                await me.node.ping("another", peer.address)

    run(scenario)


def test_a_node_that_left_may_return_over_its_seeds() -> None:
    async def scenario() -> None:
        async with running("me") as me, running("peer") as peer:
            await me.node.join([peer.address])
            assert await me.node.leave(5.0)
            await eventually_async(lambda: peer.state("me") is State.LEFT)
            assert await me.node.rejoin([peer.address]) == 1
            await eventually_async(lambda: peer.state("me") is State.ALIVE)

    run(scenario)


@pytest.mark.upstream("TestMemberlist_FailedRemote")
@pytest.mark.parametrize(
    "host", ["no-such-host.invalid", "240.0.0.1", "fe80::1"], ids=["no such name", "no route", "no scope"]
)
def test_a_member_that_cannot_be_sent_to_is_suspected_and_removed_like_any_other(host: str) -> None:
    """Upstream drops the probe when sending fails, and such a member lives for ever."""

    async def scenario() -> None:
        async with running("me", dialect=Dialect.DOUDOU) as me:
            vsn = bytes((1, 5, 2, 0, 0, 0))
            announcement = Alive(1, "ghost", host.encode(), 7946, None, vsn).encode()
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
                stranger.sendto(announcement, me.address)
            await eventually_async(lambda: me.happened(NodeJoined)[1:])
            await eventually_async(lambda: me.happened(NodeSuspected))
            await eventually_async(lambda: me.state("ghost") in (State.DEAD, None))
            assert [node.name for node in me.node.swim.members()] == ["me"]

    run(scenario)


@pytest.mark.upstream("TestMemberList_ResolveAddr")
def test_every_address_of_a_seeds_name_is_tried() -> None:
    async def scenario() -> None:
        async with running("me", bind="127.0.0.1") as me, running("peer", bind="127.0.0.1") as peer:
            port = peer.address[1]
            assert await me.node.join([("localhost", port), ("no-such-host.invalid", port)]) >= 1
            with pytest.raises(JoinError, match="no-such-host"):
                await me.node.join([("no-such-host.invalid", port)])

    run(scenario)


def test_seeds_are_dialled_at_the_same_time() -> None:
    """Upstream waits for each in turn: ten that are down take ten TCP timeouts."""

    async def scenario() -> None:
        with contextlib.ExitStack() as stack:
            silent = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(10)]
            async with running("me", tcp_timeout=0.5) as me, running("peer") as peer:
                began = time.monotonic()
                seeds = [listener.getsockname() for listener in silent]
                assert await me.node.join([*seeds, peer.address]) == 1
                assert time.monotonic() - began < 10 * 0.5

    run(scenario)
