"""A cluster of Go and Python nodes gets another key as ``pydoudou keys`` says it, while it is called."""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Callable, Iterator, Mapping

import pytest
from support.commands import pydoudou
from support.go_peer import GoPeer, go_meta
from support.gossip import FAST_GOSSIP, gossip_address, gossiping
from support.http_members import HttpMember
from support.server_processes import free_port
from support.steady_caller import SteadyCaller
from support.waiting import eventually

from pydoudou import EventKind, MemberEvent, MemberState, Observer, Registry

OLD = base64.b64encode(bytes(range(32))).decode()
GO, OURS = ("go-1", "go-2", "go-3"), ("py-1", "py-2", "py-3")
NODES = 6
HASHICORP = {"GDD_MEM_DIALECT": "hashicorp"}


class Seen(Observer):
    """What happened to members."""

    def __init__(self) -> None:
        self.events: list[MemberEvent] = []

    def member_changed(self, event: MemberEvent) -> None:
        self.events.append(event)


class Cluster:
    """Six nodes, each of which offers ``orders``; the third one of each kind is restarted for each step, the others
    take a changed key while they run.
    """

    def __init__(self, stack: contextlib.ExitStack) -> None:
        self._stack = stack
        self._ports = {name: stack.enter_context(HttpMember(name)).port for name in (*GO, *OURS)}
        self._gossip = {name: str(free_port()) for name in (*GO, *OURS)}
        self._go: dict[str, GoPeer] = {}
        self._ours: dict[str, Registry] = {}
        self.seed = ""
        self.caller = self._start_ours("py-1", OLD)
        self.seed = gossip_address(self.caller)
        for name in OURS[1:]:
            self._start_ours(name, OLD)
        for name in GO:
            self._start_go(name, OLD)

    def _start_ours(self, name: str, value: str) -> Registry:
        given = {
            "GDD_MEM_NAME": name,
            "GDD_MEM_PORT": self._gossip[name],
            "GDD_PORT": str(self._ports[name]),
            "GDD_MEM_SEED": self.seed,
            "GDD_MEM_SECRET_KEY": value,
        }
        self._ours[name] = self._stack.enter_context(gossiping("orders", **HASHICORP, **given))
        return self._ours[name]

    def _start_go(self, name: str, value: str) -> None:
        first, *others = (f"b64:{key}" for key in value.split(","))
        extra = ("-extra-keys", ",".join(others)) if others else ()
        place = ("-port", self._gossip[name], "-meta", go_meta("orders", self._ports[name]), "-join", self.seed)
        self._go[name] = self._stack.enter_context(GoPeer(name, *place, "-secret-key", first, *extra))

    def take(self, value: str) -> Iterator[str]:
        """Set it on one node after the other; each is told of when it is done."""
        for name in OURS[:2]:
            self._ours[name].reconfigure({"GDD_MEM_SECRET_KEY": value})
            yield name
        for name in GO[:2]:
            self._change_go(self._go[name], value.split(","))
            yield name
        self._ours["py-3"].stop()
        self._start_ours("py-3", value)
        yield "py-3"
        self._go["go-3"].command("leave")
        self._go["go-3"].close()
        self._start_go("go-3", value)
        yield "go-3"

    def _change_go(self, node: GoPeer, keys: list[str]) -> None:
        """What an operator of a Go program does: the ring takes one change at a time."""
        for key in keys:
            node.command(f"addkey b64:{key}")
        node.command(f"usekey b64:{keys[0]}")
        wanted = {base64.b64decode(key).hex() for key in keys}
        for held in node.command("keys")["keys"]:
            if held not in wanted:
                node.command(f"removekey hex:{held}")

    def whole(self, within: float = 40.0) -> None:
        """Wait until every node sees all six. A node that looked for a moment may be seen as well.

        Raises:
            AssertionError: they do not; it says who does not see whom.
        """
        with contextlib.suppress(AssertionError):
            eventually(lambda: not self._unseen(), within)
        assert self._unseen() == {}

    def _unseen(self) -> dict[str, set[str]]:
        seen = {name: {member.node for member in each.members("orders")} for name, each in self._ours.items()}
        seen |= {name: each.members() for name, each in self._go.items()}
        return {name: missing for name, nodes in seen.items() if (missing := {*GO, *OURS} - nodes)}


def keys(*arguments: str, value: str, seed: str = "", code: int = 0) -> list[dict[str, object]]:
    """The rows that a command prints."""
    given = {**FAST_GOSSIP, **HASHICORP, "GDD_MEM_SECRET_KEY": value, "GDD_MEM_SEED": seed}
    done = pydoudou("keys", *arguments, "--json", **given)
    assert done.returncode == code, done.stdout + done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def known(seed: str, value: str, code: int = 0) -> Mapping[str, list[str]]:
    """What `keys check` says of each node's keys; the node of a check before may have left just now."""
    rows: list[dict] = keys("check", value=value, seed=seed, code=code)  # type: ignore[type-arg, assignment]
    found = {row["node"]: [key["knows"] for key in row["keys"]] for row in rows}
    return {node: knows for node, knows in found.items() if set(knows) != {"not running"}}


@pytest.mark.timeout(180)
def test_a_rotation_by_the_plan_loses_no_node_and_no_call(record_property: Callable[[str, object], None]) -> None:
    with contextlib.ExitStack() as stack:
        cluster = Cluster(stack)
        cluster.whole()
        seen = Seen()
        cluster.caller.add_observer(seen)
        caller = stack.enter_context(SteadyCaller(cluster.caller, "orders"))
        first, second, third = (str(row["value"]) for row in keys("plan", value=OLD))
        new = third

        # The present state, then before each step: does everybody read what is to be written?
        assert known(cluster.seed, OLD) == {name: ["reads and writes"] for name in (*GO, *OURS)}
        said = known(cluster.seed, first, code=1)
        assert set(map(tuple, said.values())) == {("reads and writes", "does not read")}, said
        for value, before in ((first, OLD), (second, first), (third, second)):
            if "," in before:
                told = known(cluster.seed, before)
                assert {name: said[0] for name, said in told.items()} == dict.fromkeys(told, "reads and writes")
                assert {name: said[1] for name, said in told.items()} == dict.fromkeys(told, "reads")
                assert len(told) == NODES
            for name in cluster.take(value):
                cluster.whole()
                assert caller.failures == [], f"after {name} has taken a step"
        assert known(cluster.seed, new) == {name: ["reads and writes"] for name in (*GO, *OURS)}
        assert set(map(tuple, known(cluster.seed, f"{new},{OLD}", code=1).values())) == {
            ("reads and writes", "does not read")
        }
        gone = {event.member.node: event.member.state for event in seen.events if event.kind is EventKind.LEFT}
        restarted = dict.fromkeys(("go-3", "py-3"), MemberState.LEFT)
        assert gone == restarted, "who is restarted says that it goes, and nobody else goes"
        calls = caller.calls.total()
        record_property("figures", f"a key rotation over 3 Go and 3 Python nodes: {calls} calls, 0 failed")
