"""Broken inputs: a short run of both fuzzers, the same each time, and hypothesis' own search.

`make fuzz` feeds two million inputs from a new seed, and then some that coverage guides.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.captured import all_captured, load
from support.cluster import Lone

from pydoudou.drivers.memberlist.protocol import Keyring
from pydoudou.drivers.memberlist.protocol.encryption import encrypt
from pydoudou.drivers.memberlist.protocol.label import label_header
from pydoudou.drivers.memberlist.protocol.messages import Ack, Ping

KEY, LABEL = bytes(range(16)), b"blue"
LAYERS = ({}, {"label": LABEL}, {"keyring": Keyring([KEY])}, {"label": LABEL, "keyring": Keyring([KEY])})


def run_fuzzer(name: str, *options: str) -> str:
    """Run one in a process of its own: what other tests left in memory is not the protocol's."""
    command = [sys.executable, Path(__file__).with_name(name), *options]
    run = subprocess.run(command, capture_output=True, text=True, timeout=55)
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def test_thirty_thousand_broken_inputs_do_no_harm() -> None:
    output = run_fuzzer("fuzz.py", "--inputs", "30000", "--seconds", "30", "--seed", "1")
    fed = re.search(r"^([\d,]+) inputs", output, re.MULTILINE)
    assert fed is not None, output
    assert int(fed[1].replace(",", "")) > 3_000
    reached = output.partition("reported: ")[2]
    for event in ("Problem", "UserMessage", "NodeJoined", "NodeLeft", "RemoteState"):
        assert f"{event} " in reached


def test_inputs_that_coverage_guides_do_no_harm() -> None:
    pytest.importorskip("atheris", reason="no atheris: it has packages for Linux on x86-64, not for the newest Pythons")
    output = run_fuzzer("fuzz_guided.py", "--inputs", "5000", "--seconds", "20", "--seed", "1")
    covered = re.search(r"cov: (\d+)", output)
    assert covered is not None, output
    assert int(covered[1]) > 500


# -- hypothesis --------------------------------------------------------------------------------------------------------

PACKETS = [
    data
    for data in (
        *(each.data for each in all_captured() if not each.stream and not each.key and not each.label),
        *(bytes.fromhex(vector["sent_hex"]) for vector in load("hostile") if vector["transport"] == "udp"),
    )
    if data
]
STREAMS = [
    data
    for data in (
        *(each.data for each in all_captured() if each.stream and not each.key and not each.label),
        *(bytes.fromhex(vector["sent_hex"]) for vector in load("hostile") if vector["transport"] == "tcp"),
    )
    if data and len(data) < 4096
]
changes = st.lists(
    st.tuples(st.integers(0, 4095), st.sampled_from((0, 0, 1, 1, 2, 4, 40)), st.binary(max_size=6)), max_size=6
)


def changed(data: bytes, edits: list[tuple[int, int, bytes]]) -> bytes:
    """`data` with a few bytes taken out and put in."""
    for at, removed, inserted in edits:
        at %= len(data) + 1
        data = data[:at] + inserted + data[at + removed :]
    return data


packets = st.binary(max_size=300) | st.builds(changed, st.sampled_from(PACKETS), changes)
streams = st.binary(max_size=300) | st.builds(changed, st.sampled_from(STREAMS), changes)
layers = st.sampled_from(LAYERS)


def sealed(plain: bytes, layer: dict[str, Any], *, stream: bool) -> bytes:
    """`plain` as a node with these layers expects it."""
    label = layer.get("label", b"")
    if "keyring" in layer:
        header = b"\x0a" + (29 + len(plain)).to_bytes(4, "big") if stream else b""
        plain = header + encrypt(layer["keyring"], 1, plain, header + label, bytes)
    return label_header(label) + plain


def answers(lone: Lone, layer: dict[str, Any]) -> bool:
    lone.packets()
    lone.hear(sealed(Ping(4_000_000_000, "me").encode(), layer, stream=False))
    return Ack(4_000_000_000) in [message for _, message in lone.sent(Ack)]


@settings(max_examples=400)
@given(layers, st.lists(packets, min_size=1, max_size=5))
def test_no_packet_harms_a_node(layer: dict[str, Any], data: list[bytes]) -> None:
    lone = Lone(**layer)
    lone.knows("fake-b")
    for each in data:
        lone.hear(sealed(each, layer, stream=False))
        lone.run(0.3)
    assert answers(lone, layer)


@settings(max_examples=400)
@given(packets)
def test_no_packet_without_its_layers_gets_through_to_a_node_that_expects_them(data: bytes) -> None:
    for layer in LAYERS[1:]:
        lone = Lone(**layer)
        lone.hear(data)
        assert lone.swim.known == 1
        assert lone.packets() == []


@settings(max_examples=400)
@given(layers, streams, st.integers(1, 40))
def test_no_stream_harms_a_node_and_its_meaning_does_not_depend_on_how_it_is_cut(
    layer: dict[str, Any], data: bytes, cut: int
) -> None:
    outcomes = []
    for size in (0, cut):
        lone = Lone(**layer)
        answer, exchange = lone.accept(sealed(data, layer, stream=True), cut=size)
        exchange.received(b"", lone.now)
        assert exchange.done
        events = [repr(event) for event in lone.events()]
        outcomes.append((len(answer), exchange.failure, events, sorted(node.name for node in lone.swim.nodes())))
        assert answers(lone, layer)
    assert outcomes[0] == outcomes[1]
