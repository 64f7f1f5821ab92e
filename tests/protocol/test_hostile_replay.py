"""Hostile inputs that a real Go node was given: what it made of them, and what we do.

Each is replayed to a fresh node of the same name and address. We go on, spend little memory, and come to the same
outcome - members and their incarnations, the answer on a stream, whether there was anything to complain about - except
where `HARDER` says that we are stricter on purpose.
"""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import attrs
import pytest
from support.captured import load
from support.cluster import VSN, Lone, codec
from support.lzw_run import run_of

from pydoudou.drivers.memberlist.protocol import Dialect, Keyring, State
from pydoudou.drivers.memberlist.protocol.encryption import decrypt
from pydoudou.drivers.memberlist.protocol.events import Problem, UserMessage
from pydoudou.drivers.memberlist.protocol.gomsgpack import raw
from pydoudou.drivers.memberlist.protocol.messages import Ack, Alive, Nack

MAX_PEAK_BYTES = 16 * 1024 * 1024
VECTORS = {vector["name"]: vector for vector in load("hostile")}
PING = bytes.fromhex("0082a44e6f6465a676696374696da55365714e6f01")

HARDER = {
    "compound nested 16000 deep (64 kB)": "eight layers are enough",
    "compress nested 12 deep": "eight layers are enough",
    "lzw bomb 30 MiB user message in 24288 bytes": "a packet inflates to 256 KB at the most",
    "alive empty node name": "a member has a name",
    "alive name 20 kB": "a name has at most 512 bytes",
    "alive meta 40 kB (limit is only enforced on the sender)": "the limit of 512 bytes holds for what is received too",
    "alive Vsn 2 bytes": "a node without versions makes Go refuse every later join",
    "alive Vsn 3 bytes": "a node without versions makes Go refuse every later join",
    "alive Vsn max version 200": "a node that speaks version 200 makes Go refuse every later join",
    "alive Addr empty": "Go cannot probe such a member, and keeps it for ever",
    "alive Addr 5 bytes": "Go cannot probe such a member, and keeps it for ever",
    "alive Addr text (go-doudou dialect)": "Go cannot probe such a member, and keeps it for ever",
    "alive Addr 0.0.0.0 / multicast": "neither is the address of one node",
    "alive port 0 (replaced by own BindPort)": "no node listens on port 0",
    "alive incarnation 0 for unknown node": "Go keeps an entry that is dead from the start; here it is a complaint",
    "alive incarnation 2^32-1": "the counter is about to wrap, and the node could not refute again",
    "suspect about victim inc 2^32-1": "Go's counter wraps to 0, and it can never refute again",
    "suspect about victim inc 2^32-2": "Go refutes with the last number there is",
    "poison step 1: alive with Vsn nil": "a node without versions makes Go refuse every later join",
    "poison step 1b: alive with Vsn 5,5,5": "it does not speak our version; Go admits it and refuses every later join",
    "poison step 2b: a perfectly valid join after it": "nothing was poisoned, so the join succeeds",
    "tcp pushPull duplicate entries for one name": "a conflict is an event for the application, not a complaint",
    "2000 alive messages burst (handoff queue 1024)": "Go drops what its queue does not hold; here is no queue",
    "enc: udp v0 pad byte 0": "padding is validated",
}
"""Where we differ, and why."""

UNRELATED = ("Failed to send gossip", "Refuting", "has failed, no acks")
"""What Go logs of its own doing while it is being fed."""


@attrs.frozen
class Outcome:
    """What is left of an input.

    Attributes:
        members: incarnations of the live members, by name.
        answer: the type of the message that came back on the stream, None without one.
        complaint: whether anything was reported as wrong.
    """

    members: dict[str, int]
    answer: int | None
    complaint: bool


def inputs(vector: dict[str, Any]) -> Iterator[bytes]:
    """The datagrams of a vector. Of long ones only the beginning is in the file, of many none."""
    sent = bytes.fromhex(vector["sent_hex"])
    if len(sent) == vector["sent_len"] and vector["packets"] == 1:
        yield sent
        return
    for built in REBUILT[vector["name"]]():
        assert built.startswith(sent)
        assert len(built) == vector["sent_len"] or vector["packets"] > 1
        yield built


def _alive(name: str, *, host: bytes = bytes((127, 79, 0, 9)), port: int = 7000, meta: bytes | None = None) -> bytes:
    return Alive(1, name, host, port, meta, VSN).encode()


def _nested() -> Iterator[bytes]:
    packet = PING
    for _ in range(16_000):
        packet = b"\x07\x01" + len(packet).to_bytes(2, "big") + packet
    yield packet


def _bomb(message_type: bytes, zeros: int) -> bytes:
    """So many zero bytes, compressed."""
    return b"\x09\x82\xa4Algo\x00\xa3Buf" + raw(run_of(message_type, zeros))


REBUILT: dict[str, Callable[[], Iterator[bytes]]] = {
    "compound nested 16000 deep (64 kB)": _nested,
    "lzw bomb 30 MiB user message in 24288 bytes": lambda: iter([_bomb(b"\x08", 30 * 1024 * 1024)]),
    "lzw bomb 42 MiB (over the 40 MiB cap) in 32395 bytes": lambda: iter([_bomb(b"", 42 * 1024 * 1024)]),
    "alive name 20 kB": lambda: iter([_alive("N" * 20_000)]),
    "alive meta 40 kB (limit is only enforced on the sender)": lambda: iter([_alive("x", meta=b"M" * 40_000)]),
    "alive Addr 0.0.0.0 / multicast": lambda: iter(
        [_alive("z0", host=bytes(4)), _alive("z1", host=bytes((239, 1, 1, 1)))]
    ),
    "ack and nack for unknown seq": lambda: iter([Ack(99_999).encode(), Nack(99_999).encode()]),
    "2000 alive messages burst (handoff queue 1024)": lambda: (
        _alive(f"b{number}", port=8_000 + number) for number in range(2_000)
    ),
}


def victim(vector: dict[str, Any]) -> Lone:
    """A node like the one that was recorded."""
    key = bytes.fromhex(vector["key_hex"] or "")
    return Lone(
        name="victim",
        advertise_host="127.79.0.1",
        keyring=Keyring([key] if key else []),
        dialect=Dialect.HASHICORP,
    )


def answer_of(data: bytes, vector: dict[str, Any]) -> int | None:
    """The type of a message that came back on a stream, out of its encryption."""
    if data[:1] == b"\x0a":
        data = decrypt(Keyring([bytes.fromhex(vector["key_hex"])]), data[5:], data[:5])
    return data[0] if data else None


def recorded(vector: dict[str, Any]) -> Outcome:
    """What the Go node did."""
    if "state_after" in vector:
        members = {each["Name"]: each["Incarnation"] for each in vector["state_after"] if each["State"] == State.ALIVE}
    else:
        joined = [event["node"]["name"] for event in vector["go_events"] if event["event"] == "join"]
        members = {"victim": 1} | dict.fromkeys(joined, 1)
    complaints = [line for line in vector["go_logs"] if not any(words in line for words in UNRELATED)]
    return Outcome(members, answer_of(bytes.fromhex(vector["go_reply_hex"]), vector), bool(complaints))


def replay(lone: Lone, vector: dict[str, Any]) -> Outcome:
    """What we do."""
    answer = b""
    for data in inputs(vector):
        if vector["transport"] == "tcp":
            answer, exchange = lone.accept(data)
            exchange.received(b"", lone.now)
        else:
            lone.hear(data)
    members = {node.name: node.incarnation for node in lone.swim.members()}
    return Outcome(members, answer_of(answer, vector), bool(lone.happened(Problem)))


@pytest.mark.parametrize("name", VECTORS)
def test_the_outcome_is_gos_unless_we_are_stricter_on_purpose(name: str) -> None:
    vector = VECTORS[name]
    lone = victim(vector)
    if name.startswith("poison step 2b"):
        replay(lone, VECTORS["poison step 1b: alive with Vsn 5,5,5"])
    ours, gos = replay(lone, vector), recorded(vector)
    if name in HARDER:
        assert ours != gos, "listed as stricter, but it is not"
        if not name.startswith(("poison step 2b", "2000 alive")):
            assert ours.members.keys() <= gos.members.keys()
    else:
        assert ours == gos


@pytest.mark.parametrize("name", VECTORS)
def test_we_live_afterwards_and_spent_little_memory(name: str) -> None:
    vector = VECTORS[name]
    lone = victim(vector)
    data = list(inputs(vector))
    tracemalloc.start()
    for each in data:
        if vector["transport"] == "tcp":
            lone.accept(each)[1].received(b"", lone.now)
        else:
            lone.hear(each)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < MAX_PEAK_BYTES
    lone.run(30.0)
    lone.packets()
    plain = victim({"key_hex": vector["key_hex"]})
    lone.hear(codec(plain.config, plain.swim.keyring).wrap(PING))
    assert [message for _, message in lone.sent(Ack)] == [Ack(1)]


def test_an_empty_user_message_is_delivered_as_gos_is() -> None:
    lone = victim(VECTORS["user message with empty payload"])
    replay(lone, VECTORS["user message with empty payload"])
    lone.hear(b"\x08")
    assert lone.happened(UserMessage) == [UserMessage(b"", reliable=False)]


def test_every_deliberate_difference_is_about_an_input_of_the_list_and_has_a_reason(record_property: Any) -> None:
    assert set(HARDER) <= set(VECTORS)
    assert all(HARDER.values())
    record_property("hostile", (len(VECTORS), HARDER))
