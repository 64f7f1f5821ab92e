"""Packets captured from real Go nodes, and what their capturing tools say they contain.

Two tools wrote the files. `hashicorp.json` and `doudou-fork.json` list the layers from the outside in; `doudou.json`
nests them.
Both are brought here to one form: the leaf messages in order, each as its wire name and its expected fields.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs

VECTORS = Path(__file__).parents[1] / "protocol" / "vectors"
_WRAPPERS = ("hasLabel", "encrypt", "encrypted_packet", "sealed", "hasCrc", "compress", "compound")
_DOUDOU_KEY = bytes(range(16))


@attrs.frozen
class Captured:
    """One datagram, or all bytes of one side of a stream.

    Attributes:
        kinds: the layers and messages, by wire name.
        messages: the leaf messages as (wire name, expected).
        accepted: whether it was written by the side that dialled.
    """

    name: str
    data: bytes
    stream: bool
    accepted: bool
    dialect: str
    key: bytes
    label: bytes
    compression: bool
    kinds: tuple[str, ...]
    messages: tuple[tuple[str, dict[str, Any]], ...]


def load(name: str) -> Any:
    """The content of a file of vectors."""
    return json.loads((VECTORS / f"{name}.json").read_text())


def all_captured() -> list[Captured]:
    """Every captured packet of both dialects."""
    return [*_layered("hashicorp", "hashicorp"), *_layered("doudou-fork", "doudou"), *_nested()]


def _layered(file: str, dialect: str) -> Iterator[Captured]:
    for vector in load(file):
        config = vector["config"]
        layers = vector["decoded"]
        messages = tuple(_leaves(layers))
        yield Captured(
            name=f"{file}:{vector['name']}",
            data=bytes.fromhex(vector["hex"]),
            stream=vector["transport"] != "udp",
            accepted=vector["transport"] == "tcp-initiator",
            dialect=dialect,
            key=bytes.fromhex(config.get("key_hex", "")),
            label=config["label"].encode(),
            compression=config["compression"],
            kinds=tuple(layer["layer"] for layer in layers) + tuple(name for name, _ in messages),
            messages=messages,
        )


def _leaves(layers: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    for layer in layers:
        if layer["layer"] == "compound":
            yield from _leaves(layer["parts"])
        elif layer["layer"] not in _WRAPPERS:
            yield layer["layer"], layer


def _nested() -> Iterator[Captured]:
    for vector in load("doudou"):
        decoded = vector["decoded"]
        kinds: list[str] = []
        messages = tuple(_unnest(decoded, kinds))
        encrypted = "sealed" in kinds or "encrypt" in kinds
        yield Captured(
            name=f"doudou:{vector['name']}",
            data=bytes.fromhex(vector["hex"]),
            stream="/tcp-" in vector["name"],
            accepted="/tcp-request/" in vector["name"],
            dialect="doudou",
            key=_DOUDOU_KEY if encrypted else b"",
            label=b"",
            compression="compress" in kinds,
            kinds=tuple(kinds),
            messages=messages,
        )


def _unnest(node: dict[str, Any], kinds: list[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    kinds.append(node["type"])
    if node["type"] == "compound":
        for part in node["parts"]:
            yield from _unnest(part, kinds)
    elif node["type"] in _WRAPPERS:
        yield from _unnest(node["inner"], kinds)
    else:
        yield node["type"], node


def same(expected: Any, actual: Any) -> bool:
    """Whether a decoded field is what the capturing tool wrote: text, bytes as ``{"hex": …}``, JSON, a number, or
    null.
    """
    if isinstance(expected, dict):
        if "hex" in expected:
            return bool(actual == bytes.fromhex(expected["hex"]))
        return bool(json.loads(actual) == expected["json"])
    if isinstance(expected, str):
        return bool((actual.encode() if isinstance(actual, str) else actual or b"") == expected.encode())
    return bool(actual == expected)
