"""Mixed clusters, three real Go nodes and three of ours, under every way to frame what they say."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Iterator, Mapping

import attrs
import pytest
from support.go_peer import GoPeer
from support.gossip import gossip_address, gossip_nodes, gossiping
from support.waiting import eventually

from pydoudou import Registry

KEY = bytes(range(16))
NEW_KEY = bytes(range(32, 64))
PATIENT = {
    "GDD_MEM_PROBE_INTERVAL": "400ms",
    "GDD_MEM_PROBE_TIMEOUT": "300ms",
    "GDD_MEM_SUSPICION_MULT": "25",
    "GDD_MEM_SYNC_INTERVAL": "2s",
}
GO_PATIENT = (
    *("-probe-interval", "400ms", "-probe-timeout", "300ms", "-suspicion-mult", "25"),
    *("-pushpull-interval", "2s"),
)
"""Everybody is probed soon, and nobody is declared dead because the machine has other things to do. Gossip passes by a
node now and then; the next push/pull tells it.
"""
TELLING = ("-log", "json", "-report-ping")
COMPLAINTS = ("[ERR]", "[WARN]")
ABOUT_TIME = ("UDP probes failed", "timeout", "Refuting")
"""What a Go node complains about when the machine is too busy, whatever the framing."""


def b64(key: bytes) -> str:
    return base64.b64encode(key).decode()


REFUSALS = {"bad_packet", "bad_message", "bad_stream", "ping_for_another_node", "name_conflicts", "alive_refused"}
"""What our nodes count when they do not understand something, or do not believe it."""


@attrs.frozen
class Framing:
    """The same framing, as each side is told it.

    Attributes:
        one_port: give every node an address of its own and all the same port.
    """

    name: str
    go: tuple[str, ...] = ()
    python: dict[str, str] = attrs.field(factory=dict)
    one_port: bool = False


FRAMINGS = [
    Framing("plain, Go compresses", ("-compress=true",)),
    Framing("plain, nobody compresses", ("-compress=false",)),
    Framing("plain, both compress", ("-compress=true",), {"GDD_MEM_COMPRESSION": "true"}),
    Framing("encryption version 1", ("-secret-key", "b64:" + b64(KEY)), {"GDD_MEM_SECRET_KEY": b64(KEY)}),
    Framing(
        "encryption version 0 from Go",
        ("-secret-key", "b64:" + b64(KEY), "-protocol-version", "1"),
        {"GDD_MEM_SECRET_KEY": b64(KEY)},
        one_port=True,  # in protocol version 1, Go takes its own port for everybody's
    ),
    Framing("AES-256", ("-secret-key", "b64:" + b64(NEW_KEY)), {"GDD_MEM_SECRET_KEY": b64(NEW_KEY)}),
    Framing("label", ("-label", "blue"), {"GDD_MEM_LABEL": "blue"}),
    Framing(
        "label, encryption and compression",
        ("-label", "blue", "-secret-key", "b64:" + b64(KEY)),
        {"GDD_MEM_LABEL": "blue", "GDD_MEM_SECRET_KEY": b64(KEY), "GDD_MEM_COMPRESSION": "true"},
    ),
    Framing(
        "IPv6",
        ("-bind", "::1"),
        {"GDD_MEM_HOST": "::1", "GDD_MEM_BIND": "::1", "GDD_REGISTER_HOST": "::1"},
    ),
]


@contextlib.contextmanager
def cluster(framing: Framing) -> Iterator[tuple[list[GoPeer], list[Registry]]]:
    """Three Go nodes and three of ours, every one joined through another."""
    with contextlib.ExitStack() as stack:
        go = [stack.enter_context(GoPeer("go-0", *GO_PATIENT, *TELLING, *framing.go))]
        python: list[Registry] = []
        port = go[0].address.rpartition(":")[2]
        for number in range(3):
            variables = PATIENT | framing.python | {"GDD_MEM_DIALECT": "hashicorp"}
            variables |= {"GDD_MEM_NAME": f"py-{number}", "GDD_PORT": str(number + 1)}
            if framing.one_port:
                host = f"127.0.1.{number + 1}"
                variables |= {"GDD_MEM_HOST": host, "GDD_MEM_BIND": host, "GDD_MEM_PORT": port}
            seed = gossip_address(python[-1]) if python else go[0].address
            python.append(stack.enter_context(gossiping("orders", GDD_MEM_SEED=seed, **variables)))
            if number:
                flags = ["-bind", f"127.0.2.{number}", "-port", port] if framing.one_port else []
                flags += ["-join", gossip_address(python[-1])]
                go.append(stack.enter_context(GoPeer(f"go-{number}", *GO_PATIENT, *TELLING, *framing.go, *flags)))
        yield go, python


def assert_whole(go: list[GoPeer], python: list[Registry]) -> None:
    for registry in python:
        eventually(lambda registry=registry: gossip_nodes(registry) == 6, timeout=10)
    for peer in go:
        eventually(lambda peer=peer: len(peer.members()) == 6, timeout=10)


def has_pinged_one_of_ours(peer: GoPeer) -> bool:
    """Whether an ack of ours came to a ping: it is the only message that nobody hears of by another way."""
    return any(event["node"]["name"].startswith("py-") for event in peer.events("ping_complete"))


def counters(registry: Registry) -> Mapping[str, int]:
    return registry.status().backends[0].driver.counters


@pytest.mark.parametrize("framing", FRAMINGS, ids=lambda framing: framing.name)
@pytest.mark.upstream("TestMemberlist_Join_with_Labels", "TestMemberlist_Join_with_Labels_and_Encryption")
@pytest.mark.upstream("TestMemberlist_Join_IPv6", "TestMemberlist_Join_protocolVersions")
def test_a_mixed_cluster_agrees_and_passes_news_on(framing: Framing) -> None:
    with cluster(framing) as (go, python):
        assert_whole(go, python)
        python[0].update({"news": 1})
        for peer in go:
            peer.wait_for("update", "py-0")
        for registry in python[1:]:
            eventually(
                lambda registry=registry: {"news": 1} in [member.data for member in registry.members("orders")],
                timeout=10,
            )
        for peer in go:
            eventually(lambda peer=peer: has_pinged_one_of_ours(peer), timeout=20)
            complaints = [line for line in peer.logged(*COMPLAINTS) if not any(word in line for word in ABOUT_TIME)]
            assert not complaints
        for registry in python:
            assert not any(counters(registry)[refusal] for refusal in REFUSALS)
        python[2].stop()
        for peer in go:
            peer.wait_for("leave", "py-2")


@pytest.mark.upstream("TestMemberlist_Join_with_Labels", "TestGossip_MismatchedKeys")
@pytest.mark.parametrize(
    "stranger",
    [{"GDD_MEM_LABEL": "red"}, {"GDD_MEM_SECRET_KEY": b64(NEW_KEY)}, {}],
    ids=["another label", "another key", "neither"],
)
def test_a_node_of_another_cluster_is_refused(stranger: dict[str, str]) -> None:
    with GoPeer("go-0", "-label", "blue", "-secret-key", "b64:" + b64(KEY)) as go:
        with gossiping("orders", GDD_MEM_DIALECT="hashicorp", GDD_MEM_SEED=go.address, **stranger) as registry:
            assert not registry.status().ready
            assert gossip_nodes(registry) == 1
            assert go.members() == {"go-0"}


@pytest.mark.upstream("TestKeyRing_MultiKeyEncryptDecrypt", "TestMemberlist_EncryptedGossipTransition")
def test_the_key_is_rotated_under_way() -> None:
    old, new = "b64:" + b64(KEY), "b64:" + b64(NEW_KEY)
    framing = Framing("rotation", ("-secret-key", old), {"GDD_MEM_SECRET_KEY": b64(KEY)})
    steps = {
        f"addkey {new}": f"{b64(KEY)},{b64(NEW_KEY)}",
        f"usekey {new}": f"{b64(NEW_KEY)},{b64(KEY)}",
        f"removekey {old}": b64(NEW_KEY),
    }
    with cluster(framing) as (go, python):
        assert_whole(go, python)
        for step, (command, keys) in enumerate(steps.items()):
            for peer in go:
                peer.command(command)
            for registry in python:
                registry.reconfigure({"GDD_MEM_SECRET_KEY": keys})
            before = [peer.seen for peer in go]
            python[1].update({"step": step})
            for peer, after in zip(go, before, strict=True):
                peer.wait_for("update", "py-1", after=after)
        assert_whole(go, python)
        assert not [line for peer in go for line in peer.logged("Suspect", "could not decrypt", "no installed keys")]
