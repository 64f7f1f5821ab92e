"""Three Go nodes and three of ours on six hosts, cut apart, brought together, and on a network that loses packets."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

import attrs
import pytest
from support.effort import EFFORT
from support.go_peer import GoPeer
from support.namespaces import Host, network
from support.python_peer import PythonPeer
from support.waiting import eventually

PUSH_PULL_INTERVAL = 15.0
FORGOTTEN_AFTER = 30.0 if EFFORT > 1 else 10.0
"""Seconds for which the dead are kept."""
LOSSY_FOR = 120.0 if EFFORT > 1 else 30.0
LOST_PERCENT = 20
LAN = {
    "GDD_SERVICE_DISCOVERY_MODE": "memberlist",
    "GDD_SERVICE_NAME": "orders",
    "GDD_MEM_DIALECT": "hashicorp",
    "GDD_MEM_PROBE_INTERVAL": "1s",
    "GDD_MEM_PROBE_TIMEOUT": "500ms",
    "GDD_MEM_SUSPICION_MULT": "4",
    "GDD_MEM_GOSSIP_INTERVAL": "200ms",
    "GDD_MEM_GOSSIP_NODES": "3",
    "GDD_MEM_DEAD_TIMEOUT": f"{FORGOTTEN_AFTER:g}s",
    "GDD_MEM_TCP_TIMEOUT": "10s",
    "GDD_MEM_SYNC_INTERVAL": f"{PUSH_PULL_INTERVAL:g}s",
}
"""memberlist's LAN profile, as the Go nodes have it, with a shorter push/pull interval on both sides; and a shorter
memory of the dead where the cut is a short one.
"""


@attrs.frozen
class Cluster:
    hosts: list[Host]
    go: list[GoPeer]
    python: list[PythonPeer]

    @classmethod
    @contextlib.contextmanager
    def start(cls) -> Iterator[Cluster]:
        """Host 1, 3 and 5 run Go, 2, 4 and 6 run ours; everybody joins the first."""
        with network(6) as hosts, contextlib.ExitStack() as stack:
            cluster = cls(hosts, [], [])
            for number, host in enumerate(hosts):
                if number % 2 == 0:
                    flags = ["-bind", host.address, "-pushpull-interval", f"{PUSH_PULL_INTERVAL:g}s"]
                    flags += ["-gossip-to-dead-time", f"{FORGOTTEN_AFTER:g}s"]
                    flags += ["-join", cluster.go[0].address] if cluster.go else []
                    peer = GoPeer(f"go-{host.address}", *flags, fast=False, enter=host.enter)
                    cluster.go.append(stack.enter_context(peer))
                    continue
                own = {
                    "GDD_REGISTER_HOST": host.address,
                    "GDD_MEM_HOST": host.address,
                    "GDD_MEM_BIND": host.address,
                    "GDD_MEM_PORT": "0",
                    "GDD_MEM_NAME": f"py-{host.address}",
                    "GDD_MEM_SEED": cluster.go[0].address,
                }
                cluster.python.append(stack.enter_context(PythonPeer(host.enter, LAN | own)))
            yield cluster

    def views(self) -> list[int]:
        """How many live nodes each node sees."""
        return [len(peer.members()) for peer in self.go] + [peer.ask()["nodes"] for peer in self.python]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster.start() as started:
        eventually(lambda: started.views() == [6] * 6, timeout=20)
        yield started


@attrs.frozen
class Loss:
    """A cluster that loses packets, and what was known before it did."""

    cluster: Cluster
    began: float
    left: list[int]
    dead: list[int]


@pytest.fixture(scope="module")
def loss() -> Iterator[Loss]:
    with Cluster.start() as started:
        eventually(lambda: started.views() == [6] * 6, timeout=20)
        left = [len(peer.events("leave")) for peer in started.go]
        dead = [peer.ask()["counters"].get("nodes_gone", 0) for peer in started.python]
        for host in started.hosts:
            host.lose(LOST_PERCENT)
        yield Loss(started, time.monotonic(), left, dead)


@pytest.mark.timeout(240)
@pytest.mark.usefixtures("loss")  # its time passes meanwhile, on a network of their own
def test_two_halves_that_were_cut_apart_become_one_again_by_themselves(
    cluster: Cluster, record_property: Callable[[str, object], None]
) -> None:
    """By the end of the cut both sides have declared each other dead and forgotten each other."""
    left, right = cluster.hosts[:3], cluster.hosts[3:]
    for host in left:
        host.cut_off_from(right)
    for host in right:
        host.cut_off_from(left)
    cut_at = time.monotonic()
    eventually(lambda: cluster.views() == [3] * 6, timeout=60)
    apart_after = time.monotonic() - cut_at
    time.sleep(FORGOTTEN_AFTER + 2)  # it is the cut itself that lasts
    cut_for = time.monotonic() - cut_at
    for host in cluster.hosts:
        host.heal()
    healed_at = time.monotonic()
    eventually(lambda: cluster.views() == [6] * 6, timeout=2 * PUSH_PULL_INTERVAL)
    together_after = time.monotonic() - healed_at
    record_property(
        "figures",
        f"3/3 cut for {cut_for:.0f} s: apart after {apart_after:.1f} s, one view {together_after:.1f} s after healing "
        f"(push/pull every {PUSH_PULL_INTERVAL:g} s)",
    )


@pytest.mark.timeout(300)
def test_with_a_fifth_of_all_packets_lost_no_live_node_is_declared_dead(
    loss: Loss, record_property: Callable[[str, object], None]
) -> None:
    cluster = loss.cluster
    time.sleep(max(0.0, loss.began + LOSSY_FOR - time.monotonic()))  # it is the loss itself that lasts
    lost = [host.lost() for host in cluster.hosts]
    for host in cluster.hosts:
        host.heal()
    for peer, known in zip(cluster.go, loss.left, strict=True):
        assert [event["node"]["name"] for event in peer.events("leave")[known:]] == []
    counters = [peer.ask()["counters"] for peer in cluster.python]
    assert [count.get("nodes_gone", 0) for count in counters] == loss.dead
    eventually(lambda: cluster.views() == [6] * 6, timeout=20)
    assert min(lost) > 0
    # There need not be any suspicion: a probe is answered over TCP or by way of others.
    suspected = sum(count.get("suspicions", 0) for count in counters)
    record_property(
        "figures",
        f"{LOST_PERCENT} % loss for {LOSSY_FOR:g} s: {sum(lost)} packets lost, {suspected} suspicions, no death",
    )
