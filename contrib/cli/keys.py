"""``pydoudou keygen`` and ``pydoudou keys``: encryption keys of the gossip, and a way from one to the next.

A node encrypts with its first key and reads with all of them. So a new key is first read by everybody, then written by
everybody, and only then the old one is taken away; each step is a value of GDD_MEM_SECRET_KEY that is set on every node
before the next one is on any. No key travels by gossip: HashiCorp's serf sends them around, and whoever holds one key
holds all that follow.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import queue
import sys
import threading
from collections.abc import Callable, Sequence

import attrs
import click

from ...drivers.memberlist.outside import Outside, Unanswered, Why
from ...drivers.memberlist.protocol.addresses import Address
from ...drivers.memberlist.settings import SECRET_KEY
from .gossip import SeenNode, gossip_settings, ip_addresses
from .joining import Joining, joining_options
from .output import Column, Output, Row, output_option

__all__ = ["keygen", "keys"]

_AT_ONCE = 16
_WRITES, _READS, _NOT, _SILENT, _GONE = "reads and writes", "reads", "does not read", "no answer", "not running"

_STEPS = {
    1: "everybody reads the new key beside the old one",
    2: "everybody writes with the new key, and still reads the old one",
    3: "nobody knows the old key any more",
}


@click.command()
@click.option("--bytes", "size", type=click.Choice(["16", "24", "32"]), default="32", show_default=True)
def keygen(size: str) -> None:
    """Print a new encryption key for GDD_MEM_SECRET_KEY, drawn by the system."""
    click.echo(_new_key(int(size)))


@click.group()
def keys() -> None:
    """Change the encryption key of a cluster while it runs, without losing a node."""


@keys.command()
@click.option(
    "--after",
    type=click.Choice(["1", "2"]),
    help="With two keys: the step that every node has taken. Two keys alone do not tell which of them is the new one.",
)
@output_option
def plan(after: str | None, output: Output) -> None:
    """The next values of GDD_MEM_SECRET_KEY: `old,new`, then `new,old`, then `new`.

    With one key that is all three steps with a new key, which is drawn here; with two it is the rest of them. Each
    value has to be on every node, by a restart or by Registry.reconfigure, before the next one is on any: `keys check`
    tells. It prints keys: keep it from logs.
    """
    present = _written(gossip_settings(Joining((), 0.0).settings()).keys)
    steps = _steps(present, after)
    rows = [
        Row((str(number), value, _STEPS[number]), {"step": number, "value": value, "meaning": _STEPS[number]})
        for number, value in steps.items()
    ]
    if output.terminal:  # a table would fold the keys
        for row in rows:
            output.say(f"step {row.cells[0]}: {row.cells[2]}", "bold")
            output.say(f"{SECRET_KEY}={row.cells[1]}")
    else:
        output.table((Column("step"), Column("value"), Column("meaning")), rows)


def _steps(present: Sequence[str], after: str | None) -> dict[int, str]:
    """The values that are still to be set, by their numbers.

    Raises:
        click.UsageError: there is no way from here.
    """
    if not present:
        raise click.UsageError(f"{SECRET_KEY} is not set: encryption is switched on by restarts, and not by a rotation")
    if len(present) == 1:
        if after is not None:
            raise click.UsageError(f"--after is for the rest of a rotation, and {SECRET_KEY} has one key only")
        (old,), new = present, _new_key(len(base64.b64decode(present[0])))
        return {1: f"{old},{new}", 2: f"{new},{old}", 3: new}
    first, second, *more = present
    if more:
        raise click.UsageError(f"{SECRET_KEY} has {len(present)} keys: a rotation is between two")
    if after is None:
        raise click.UsageError(
            f"{SECRET_KEY} has two keys: which step has every node taken, --after 1 (old,new) or --after 2 (new,old)?"
        )
    return {2: f"{second},{first}", 3: second} if after == "1" else {3: first}


@keys.command()
@click.option(
    "--timeout", type=click.FloatRange(0.1, 60), default=2.0, show_default=True, help="Seconds for each question."
)
@output_option
@joining_options
def check(timeout: float, output: Output, joining: Joining) -> None:
    """Which nodes read which keys of GDD_MEM_SECRET_KEY, and with which one they write: by encrypted pings.

    Keys are called by their place and a few digits that are made of them. The exit code is 0 if every node reads every
    key, so that any of them may become the first one.
    """
    settings = gossip_settings(joining.settings())
    if not settings.keys:
        raise click.UsageError(f"{SECRET_KEY} is not set: there are no keys to look for")
    with joining.census(settings) as seen:
        nodes = [node for node in seen.nodes if node.state in ("alive", "suspect")]
    asked = [(node, key) for node in nodes for key in settings.keys]
    answers = _answers(asked, lambda node, key: _knows(Outside(settings.config, (key,), timeout), node))
    found = _Found(nodes, settings.keys, answers)
    names = [_name(place, key) for place, key in enumerate(settings.keys, 1)]
    output.table(
        (Column("node"), Column("address"), *(Column(name) for name in names)), [found.row(node) for node in nodes]
    )
    if not output.as_json:
        for line in found.verdict(names):
            output.say(line)
    sys.exit(0 if found.all_read else 1)


@attrs.frozen
class _Found:
    """Which node knows which key."""

    nodes: Sequence[SeenNode]
    keys: Sequence[bytes]
    answers: dict[tuple[SeenNode, bytes], str]

    @property
    def all_read(self) -> bool:
        """Whether every node reads every key; not where there is none."""
        said = set(self.answers.values()) - {_GONE}
        return bool(said) and said <= {_WRITES, _READS}

    def row(self, node: SeenNode) -> Row:
        """What is known of a node, which answers no key at all if it cannot be reached."""
        said = [self.answers[node, key] for key in self.keys]
        if set(said) == {_NOT}:
            said = [_SILENT] * len(said)
        keys = [
            {"place": place, "fingerprint": _fingerprint(key), "knows": knows}
            for place, (key, knows) in enumerate(zip(self.keys, said, strict=True), 1)
        ]
        return Row((node.name, node.address, *said), {"node": node.name, "address": node.address, "keys": keys})

    def verdict(self, names: Sequence[str]) -> list[str]:
        """What may be done, and what may not yet."""
        if set(self.answers.values()) <= {_GONE}:
            return ["no other node was found: is a key of the cluster among these, and a seed named?"]
        lines: list[str] = []
        for name, key in zip(names, self.keys, strict=True):
            missing = [node.name for node in self.nodes if self.answers[node, key] in (_NOT, _SILENT)]
            writing = [node.name for node in self.nodes if self.answers[node, key] == _WRITES]
            first = f"may not come first yet: {_listed(missing)}" if missing else "may come first: every node reads it"
            away = (
                f"may not be taken away yet: {_listed(writing)} write with it" if writing else "nobody writes with it"
            )
            lines.append(f"{name} {first}; {away}")
        return lines


def _answers(
    asked: Sequence[tuple[SeenNode, bytes]], ask: Callable[[SeenNode, bytes], str]
) -> dict[tuple[SeenNode, bytes], str]:
    """What each of them answers, several at a time. Not a pool of threads, which nobody could leave before the last
    answer has come: Ctrl-C ends this at once.
    """
    answers: dict[tuple[SeenNode, bytes], str] = {}
    waiting: queue.SimpleQueue[tuple[SeenNode, bytes]] = queue.SimpleQueue()
    for pair in asked:
        waiting.put(pair)

    def work() -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                pair = waiting.get_nowait()
                answers[pair] = ask(*pair)

    threads = [threading.Thread(target=work, daemon=True) for _ in asked[:_AT_ONCE]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def _knows(asking: Outside, node: SeenNode) -> str:
    """What a node does with the one key of `asking`: an answer under another one is an answer, and shows that it was
    read.
    """
    try:
        for address in ip_addresses(node.host, node.port):
            try:
                asking.ping(address, node.name)
            except Unanswered as unanswered:
                return _without_answer(asking, address, unanswered.why)
    except (OSError, UnicodeError):
        return _NOT
    return _WRITES


def _without_answer(asking: Outside, address: Address, why: Why) -> str:
    """What it means that no ack came that can be read. Who has just left may be known as a living node for a moment:
    where nobody listens, by UDP nor by TCP, nobody can be locked out.
    """
    if why is Why.SEALED:
        return _READS
    if why is Why.UNREACHABLE:
        try:
            asking.ping_over_stream(address)
        except Unanswered as unanswered:
            return _GONE if unanswered.why is Why.UNREACHABLE else _NOT
    return _NOT


def _new_key(size: int) -> str:
    return base64.b64encode(os.urandom(size)).decode()


def _written(present: Sequence[bytes]) -> list[str]:
    return [base64.b64encode(key).decode() for key in present]


def _fingerprint(key: bytes) -> str:
    """Enough to tell keys apart, and nothing to guess them by."""
    return hashlib.sha256(b"pydoudou key " + key).hexdigest()[:8]


def _name(place: int, key: bytes) -> str:
    return f"key {place} ({_fingerprint(key)})"


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:5])
    return f"{shown} and {len(names) - 5} more" if len(names) > 5 else shown
