"""A node of ours that is started again under its name, and a real Go node that hears late that it had left."""

from __future__ import annotations

import socket

import anyio
import anyio.to_thread
import pytest
from support.cluster import alive
from support.go_peer import GoPeer
from support.waiting import eventually_async

from pydoudou.drivers.memberlist.node import GossipNode
from pydoudou.drivers.memberlist.protocol import Config, Dialect
from pydoudou.drivers.memberlist.protocol.addresses import Address
from pydoudou.drivers.memberlist.protocol.messages import Alive, Dead


def address_of(peer: GoPeer) -> Address:
    host, port = peer.address.rsplit(":", 1)
    return host, int(port)


def tell(peer: GoPeer, message: Alive | Dead) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        datagrams.sendto(message.encode(), address_of(peer))


def leave_of(peer: GoPeer, name: str) -> None:
    """It hears that the node left at its first incarnation, and has taken that as it does when this returns."""
    tell(peer, alive("marker", host="127.0.0.9"))
    peer.wait_for("join", "marker")
    tell(peer, Dead(1, name, name))
    tell(peer, Dead(1, "marker", "marker"))
    peer.wait_for("leave", "marker")


@pytest.mark.parametrize("comes_to_go", [True, False], ids=["it joins", "it is joined"])
def test_a_late_leave_of_its_earlier_life_does_not_remove_it_from_a_go_node(comes_to_go: bool) -> None:
    async def scenario(peer: GoPeer) -> None:
        config = Config.local("back", "127.0.0.1", 0, dialect=Dialect.HASHICORP)
        async with anyio.create_task_group() as tasks:
            first = GossipNode(config, bind="127.0.0.1")
            await tasks.start(first.run)
            await first.join([address_of(peer)])
            await eventually_async(lambda: "back" in peer.members())
            port = first.swim.config.advertise_port
            tasks.cancel_scope.cancel()  # nobody hears of it
        async with anyio.create_task_group() as tasks:
            second = GossipNode(config, bind="127.0.0.1", port=port)
            await tasks.start(second.run)
            if comes_to_go:
                await second.join([address_of(peer)])
            else:
                await anyio.to_thread.run_sync(peer.command, f"join 127.0.0.1:{port}")
            await anyio.sleep(4 * config.gossip_interval)  # it has said so
            await anyio.to_thread.run_sync(leave_of, peer, "back")
            assert "back" in peer.members()
            tasks.cancel_scope.cancel()

    with GoPeer("go-1", "-compress=false") as peer:
        anyio.run(scenario, peer)
        assert [event["node"]["name"] for event in peer.events("leave")] == ["marker"]
