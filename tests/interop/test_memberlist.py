"""Clusters of our nodes and real Go nodes (HashiCorp memberlist)."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable, Iterator

import pytest
from support.called_cluster import states_told_by
from support.go_peer import GoPeer, go_meta
from support.gossip import gossip_address, gossip_nodes, gossiping
from support.waiting import eventually
from support.watched import watched

from pydoudou import MemberEvent, MemberState, Registry
from pydoudou.drivers.memberlist.metadata import decode_members
from pydoudou.drivers.memberlist.protocol import State


@contextlib.contextmanager
def python_node(service: str = "", **variables: str) -> Iterator[Registry]:
    with gossiping(service, GDD_MEM_DIALECT="hashicorp", **variables) as registry:
        yield registry


def services(registry: Registry) -> set[str]:
    return {member.service for member in registry.members()}


def test_python_joins_go_and_both_see_each_other() -> None:
    with GoPeer("go-1", "-meta", go_meta("users", 6060)) as go:
        with python_node("orders", GDD_MEM_SEED=go.address, GDD_MEM_NAME="py-1", GDD_PORT="8080") as registry:
            (users,) = registry.members("users")
            assert (users.address, users.node) == ("127.0.0.1:6060", "go-1")
            joined = go.wait_for("join", "py-1")
            (seen,) = decode_members(
                bytes.fromhex(joined["node"]["meta"]["hex"]), host="127.0.0.1", node="py-1"
            ).members
            assert (seen.service, seen.address) == ("orders", "127.0.0.1:8080")


def test_go_joins_python_and_both_see_each_other() -> None:
    with python_node("orders", GDD_MEM_NAME="py-1") as registry:
        with GoPeer("go-1", "-meta", go_meta("users", 6060), "-join", gossip_address(registry)) as go:
            eventually(lambda: services(registry) == {"orders", "users"})
            eventually(lambda: go.members() == {"go-1", "py-1"})


def test_metadata_updates_are_seen_both_ways() -> None:
    with GoPeer("go-1", "-meta", go_meta("users", 6060)) as go:
        with python_node("orders", GDD_MEM_SEED=go.address, GDD_MEM_NAME="py-1") as registry:
            registry.update({"zone": "b"})
            update = go.wait_for("update", "py-1")
            (seen,) = decode_members(
                bytes.fromhex(update["node"]["meta"]["hex"]), host="127.0.0.1", node="py-1"
            ).members
            assert seen.data == {"zone": "b"}
            go.command("update " + go_meta("users", 6060, weight=7))
            eventually(lambda: registry.members("users")[0].weight == 7)


def test_a_killed_go_node_is_suspected_and_then_reported_failed() -> None:
    with GoPeer("go-1", "-meta", go_meta("users", 6060)) as go, python_node(GDD_MEM_SEED=go.address) as registry:
        with registry.watch("users") as watch:
            assert services(registry) == {"users"}
            go.kill()
            eventually(lambda: [m.state for m in registry.members("users")] == [MemberState.SUSPECT], timeout=10)
            eventually(lambda: not registry.members("users"), timeout=15)
            states = []
            for event in watch:
                states.append((event.kind.value, event.member.state))
                if event.kind.value == "left":
                    break
            assert states[-1] == ("left", MemberState.FAILED)


def test_go_hears_of_a_leaving_python_node_at_once_and_without_suspecting_it() -> None:
    """A failure would take longer: the suspicion alone lasts 1.5 s at these intervals."""
    with GoPeer("go-1", "-log", "json") as go, GoPeer("go-2", "-join", go.address) as other:
        with python_node("orders", GDD_MEM_SEED=go.address, GDD_MEM_NAME="py-1"):
            other.wait_for("join", "py-1")
        left_at = time.time()
        for peer in (go, other):
            assert peer.wait_for("leave", "py-1")["ts"] - left_at < 1.0
        assert not go.logged("Suspect py-1")


def test_go_remembers_a_python_node_that_left_as_left_and_a_killed_one_as_dead() -> None:
    """Go's application hears the same event of both; what it tells other nodes differs."""
    alone = ("-compress=false", "-suspicion-max-timeout-mult", "1")  # nobody is left to confirm the suspicion
    with GoPeer("go-1", *alone) as go, GoPeer("go-2", "-join", go.address) as killed:
        with python_node("orders", GDD_MEM_SEED=go.address, GDD_MEM_NAME="py-1"):
            go.wait_for("join", "py-1")
        killed.kill()
        go.wait_for("leave", "py-1")
        go.wait_for("leave", "go-2")
        assert states_told_by(go) == {"go-1": State.ALIVE, "go-2": State.DEAD, "py-1": State.LEFT}


def test_a_name_that_left_may_come_back_from_another_address_at_once() -> None:
    with GoPeer("go-1") as go:
        with python_node("orders", GDD_MEM_SEED=go.address, GDD_MEM_NAME="py-1") as registry:
            before = gossip_address(registry)
        go.wait_for("leave", "py-1")
        seen = go.seen
        with python_node("orders", GDD_MEM_SEED=go.address, GDD_MEM_NAME="py-1") as registry:
            assert gossip_address(registry) != before
            go.wait_for("join", "py-1", after=seen)
        assert not go.events("conflict")


def test_a_mixed_cluster_of_five_sees_five_everywhere() -> None:
    with contextlib.ExitStack() as stack:
        go = [stack.enter_context(GoPeer("go-0"))]
        go += [stack.enter_context(GoPeer(f"go-{n}", "-join", go[0].address)) for n in (1, 2)]
        python = [
            stack.enter_context(
                python_node("orders", GDD_MEM_SEED=go[1].address, GDD_MEM_NAME=f"py-{n}", GDD_PORT=str(n))
            )
            for n in (1, 2)
        ]
        for registry in python:
            eventually(lambda registry=registry: gossip_nodes(registry) == 5, timeout=10)
        for peer in go:
            eventually(lambda peer=peer: peer.members() == {"go-0", "go-1", "go-2", "py-1", "py-2"}, timeout=10)


@pytest.mark.upstream("TestMemberList_ProbeNode_Buddy")
def test_a_go_node_that_stands_still_is_suspected_and_refutes() -> None:
    with GoPeer("go-1", "-meta", go_meta("users", 6060)) as go, GoPeer("go-2", "-join", go.address) as other:
        with python_node(GDD_MEM_SEED=f"{go.address},{other.address}", GDD_MEM_SUSPICION_MULT="8") as registry:
            go.kill(signal.SIGSTOP)
            try:
                eventually(lambda: registry.members("users")[0].state is MemberState.SUSPECT, timeout=10)
            finally:
                go.kill(signal.SIGCONT)
            eventually(lambda: registry.members("users")[0].state is MemberState.ALIVE, timeout=10)


LAN = {
    "GDD_MEM_PROBE_INTERVAL": "1s",
    "GDD_MEM_PROBE_TIMEOUT": "500ms",
    "GDD_MEM_SUSPICION_MULT": "4",
    "GDD_MEM_GOSSIP_INTERVAL": "200ms",
    "GDD_MEM_GOSSIP_NODES": "3",
}


def test_on_default_settings_a_pause_of_three_seconds_is_suspected_refuted_and_nobody_is_declared_dead(
    record_property: Callable[[str, object], None],
) -> None:
    """Whether a node is probed in a given second is chance, so it may take several pauses until one is noticed."""
    with contextlib.ExitStack() as stack:
        go = [stack.enter_context(GoPeer("go-0", "-meta", go_meta("users", 6060), fast=False))]
        go += [stack.enter_context(GoPeer(f"go-{n}", "-join", go[0].address, fast=False)) for n in (1, 2)]
        python = [
            stack.enter_context(python_node(GDD_MEM_SEED=go[1].address, GDD_MEM_NAME=f"py-{n}", **LAN))
            for n in range(3)
        ]
        seen: list[MemberEvent] = []
        for registry in python:
            stack.enter_context(watched(registry, "users", seen.append))
        for registry in python:
            eventually(lambda registry=registry: gossip_nodes(registry) == 6, timeout=10)

        def states() -> set[MemberState]:
            return {member.state for registry in python for member in registry.members("users")}

        suspected_after = None
        for _ in range(4):
            go[0].kill(signal.SIGSTOP)
            stopped_at = time.monotonic()
            while time.monotonic() < stopped_at + 3.0:
                if suspected_after is None and MemberState.SUSPECT in states():
                    suspected_after = time.monotonic() - stopped_at
                time.sleep(0.01)
            go[0].kill(signal.SIGCONT)
            resumed_at = time.monotonic()
            eventually(lambda: states() == {MemberState.ALIVE}, timeout=10)
            if suspected_after is not None:
                break
        assert suspected_after is not None
        record_property(
            "figures",
            f"Go node stopped for 3 s, LAN settings: suspected after {suspected_after:.1f} s, believed alive by "
            f"everybody {time.monotonic() - resumed_at:.2f} s after it went on, never declared dead",
        )
        assert all(len(registry.members("users")) == 1 for registry in python)
        assert [event for event in seen if event.kind.value == "left"] == []
        for peer in go[1:]:
            assert peer.events("leave") == []
