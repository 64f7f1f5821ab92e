"""Every command in every way that it can be run: on a wide terminal, on a narrow one without colours, on one that knows
no control codes, in a pipe, as JSON, with bad input, interrupted, and for a reader that is gone. One row for each.
"""

from __future__ import annotations

import json
import os
import re
import select
import shlex
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType

import attrs
import click
import pytest
from support.commands import COMMAND, Terminal, environment, pydoudou
from support.gossip import FAST_GOSSIP, NEVER_SUSPECTED, gossip_address, gossip_nodes, gossiping
from support.lossy_ports import free_for_both
from support.server_processes import free_port, process_of
from support.service_process import ServiceProcess
from support.waiting import eventually

from pydoudou.contrib.cli import main

KEY = "a2tra2tra2tra2tra2tra2tra2tra2tra2tra2tra2s="
MARKUP = "[red]users[/red]"
EVIL = "evil\x1b[31m\u202e" + "n" * 480
"""Names that would like to be more than text; 491 bytes are what the longest name may have beside the rest."""
WIDE, NARROW = 100, 40
LOADED = "click._compat"
"""Part of a line that Python prints about its imports, if it is asked to."""
GONE = "carts-1"


@attrs.frozen
class Command:
    """How one command is run, and what it says then.

    Attributes:
        works: arguments with which it ends well.
        shows: what it says in a pipe and on a wide screen, a part of this on a narrow one.
        row: names in each of its lines of JSON; None without ``--json``.
        bad: arguments that it refuses.
        names: what the error says: the value, and what is accepted or what to do.
        hangs: arguments with which it is at work until it is interrupted; its seed is one that never answers.
        begun: what its screen shows when it is at work; "" where the seed is asked.
        interrupted: its exit code then.
        ends: whether it ends by itself; otherwise its lines are read for as long as it takes.
        wide_only: what a narrow screen has no room for.
    """

    works: str
    shows: Sequence[str]
    bad: str
    names: Sequence[str]
    hangs: str
    row: frozenset[str] | None = None
    begun: str = ""
    interrupted: int = 1
    ends: bool = True
    wide_only: Sequence[str] = ()
    variables: Mapping[str, str] = MappingProxyType(FAST_GOSSIP)


MEMBER = frozenset({"service", "host", "port", "state", "weight", "node", "sources", "data"})
COMMANDS = {
    "members": Command(
        works="--seed {seed}",
        shows=["service", "127.0.0.1:6061", "orders", "users"],
        wide_only=[MARKUP],
        row=MEMBER,
        bad="--seed a:b:c",
        names=["GDD_MEM_SEED is 'a:b:c'", "accepted: a comma list of host"],
        hangs="--seed {silent} --wait 60",
    ),
    "services": Command(
        works="--seed {seed}",
        shows=["service", "orders", "users"],
        wide_only=["memberlist"],
        row=frozenset({"service", "members", "alive", "suspect", "weight", "sources"}),
        bad="--seed {seed} --wait -1",
        names=["'--wait': -1", "0<=x<=600"],
        hangs="--seed {silent} --wait 60",
    ),
    "events": Command(
        works="--seed {seed}",
        shows=["joined  orders", "joined  users", MARKUP],
        row=MEMBER | {"at", "event"},
        bad="--frob",
        names=["No such option '--frob'"],
        hangs="--follow --seed {seed}",
        begun="users",
        interrupted=0,
    ),
    "status": Command(
        works="--seed {seed}",
        shows=["memberlist", "ready", "2 services, 2 members"],
        row=frozenset({"ready", "services", "members", "backends"}),
        bad="--wait soon",
        names=["'--wait': 'soon'", "float"],
        hangs="--nodes --seed {silent} --wait 60",
    ),
    "ping": Command(
        works="orders-1 --count 1 --seed {seed}",
        shows=["{seed} udp", "{seed} tcp", "1 of 1"],
        row=frozenset({"to", "sent", "answered", "least_seconds", "median_seconds", "why_not"}),
        bad="orders-1 --count 0",
        names=["'--count': 0", "1<=x<=1000"],
        hangs="{silent} --timeout 60",
        begun="pinging",
    ),
    "leave": Command(
        works=f"{GONE} --yes --seed {{seed}}",
        shows=[f"{GONE} has left"],
        bad=f"{GONE}",
        names=["--seed HOST:PORT"],
        hangs=f"{GONE} --yes --seed {{silent}} --wait 60",
    ),
    "doctor": Command(
        works="--seed {seed}",
        shows=["0 findings: modes memberlist"],
        row=frozenset(),
        bad="--frob",
        names=["No such option '--frob'"],
        hangs="--seed {silent}",
        begun="looking",
    ),
    "sd": Command(
        works="--out {folder}/targets.json --seed {seed}",
        shows=["2 targets in"],
        bad="--seed {seed}",
        names=["Missing option '--out'"],
        hangs="--out {folder}/other.json --seed {silent} --wait 60",
        begun="waiting",
        interrupted=0,
        ends=False,
    ),
    "settings": Command(
        works="--set --look-only",
        shows=["variable", "GDD_MEM_HOST", "127.0.0.1"],
        wide_only=["environment"],
        row=frozenset({"name", "value", "source", "default", "meaning", "problem"}),
        bad="--directory nowhere",
        names=["'--directory'", "'nowhere' does not exist"],
        hangs="",
        begun=LOADED,
    ),
    "keygen": Command(
        works="",
        shows=["="],
        bad="--bytes 20",
        names=["'20'", "'16', '24', '32'"],
        hangs="",
        begun=LOADED,
    ),
    "keys plan": Command(
        works="",
        shows=[KEY[:30], "step", "nobody knows the old key any more"],
        row=frozenset({"step", "value", "meaning"}),
        bad="--after 2",
        names=["--after", "one key only"],
        hangs="",
        begun=LOADED,
        variables=FAST_GOSSIP | {"GDD_MEM_SECRET_KEY": KEY},
    ),
    "keys check": Command(
        works="--seed {sealed}",
        shows=["sealed-1", "reads", "key 1", "may come first: every node reads it"],
        row=frozenset({"node", "address", "keys"}),
        bad="--seed {sealed} --timeout 0",
        names=["'--timeout': 0", "0.1<=x<=60"],
        hangs="--seed {silent} --wait 60",
        variables=FAST_GOSSIP | {"GDD_MEM_SECRET_KEY": KEY},
    ),
    "page": Command(
        works="--join {seed} --listen 127.0.0.1:0",
        shows=["the registry page is at http://127.0.0.1:", "Ctrl-C ends it", "for this machine only"],
        bad="--listen somewhere",
        names=["'somewhere'", "HOST:PORT, such as 127.0.0.1:6061"],
        hangs="--join {seed} --listen 127.0.0.1:0",
        begun="Ctrl-C ends it",
        interrupted=130,
        ends=False,
    ),
    "explain": Command(
        works="orders --seed {seed}",
        shows=["127.0.0.1:6061", "in", "a call would go to"],
        row=frozenset(),
        bad="orders --seed a:b:c",
        names=["GDD_MEM_SEED is 'a:b:c'", "accepted: a comma list of host"],
        hangs="orders --seed {silent} --wait 60",
    ),
    "run": Command(
        works="--service hello --port {free} -- echo hello from inside",
        shows=["hello from inside"],
        bad="--service hello --port 99999 -- echo hello",
        names=["'--port': 99999", "1<=x<=65535"],
        hangs="--service hello --port {free} -- sh -c 'echo at work; exec sleep 60'",
        begun="at work",
        interrupted=128 + signal.SIGINT,
    ),
    "simulate": Command(
        works="--seconds 2 --rate 50 --members 3 --fault slow --balancer RoundRobin --balancer LeastLatency",
        shows=["slow", "RoundRobin"],
        row=frozenset({"fault", "balancer", "calls", "error_share", "p99_seconds", "share_ratio"}),
        bad="--fault bored",
        names=["'bored'", "'slow'"],
        hangs="--seconds 9000 --rate 1000 --fault slow",
        begun="simulating",
    ),
    "demo": Command(
        works="--calls 5",
        shows=["orders-3 is killed (SIGKILL)", "orders-1", "0 failed"],
        row=frozenset({"members", "calls", "failed", "by_member", "withdrawn_after_s", "left_after_s"}),
        bad="--calls 0",
        names=["'--calls': 0", "1<=x<=100000"],
        hangs="--calls 100000",
        begun="it calls them now",
    ),
}
EVERY = pytest.mark.parametrize("name", COMMANDS)


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """What the arguments name: nodes that offer ``orders`` and ``users``, one that was killed and that all others
    suspect for long, and one with a key.
    """
    patient = {"GDD_MEM_SUSPICION_MULT": "1000", "GDD_MEM_DEAD_TIMEOUT": "10m"}
    with (
        gossiping("orders", GDD_PORT="6061", GDD_MEM_NAME="orders-1", **patient) as orders,
        gossiping("hidden", GDD_MEM_NAME="sealed-1", GDD_MEM_SECRET_KEY=KEY, **NEVER_SUSPECTED) as sealed,
    ):
        joined = {"GDD_MEM_SEED": gossip_address(orders), **patient}
        with (
            gossiping("users", GDD_PORT="6062", GDD_MEM_NAME=MARKUP, GDD_WEIGHT="3", **joined),
            gossiping(called=EVIL, **joined),
        ):
            own = {"GDD_SERVICE_NAME": "carts", "GDD_MEM_NAME": GONE}
            with ServiceProcess("carts", FAST_GOSSIP | joined | own) as carts:
                eventually(lambda: gossip_nodes(orders) == 4, 20)
                os.kill(carts.pid, signal.SIGKILL)
            eventually(lambda: [member.state.value for member in orders.members("carts")] == ["suspect"], 20)
            done = pydoudou("leave", GONE, "--yes", "--seed", gossip_address(orders), **FAST_GOSSIP)
            assert (done.returncode, done.stdout) == (0, f"3 nodes told that {GONE} has left\n"), done.stderr
            yield {
                "seed": gossip_address(orders),
                "sealed": gossip_address(sealed),
                "folder": str(tmp_path_factory.mktemp("out")),
            }


def arguments(name: str, text: str, there: Mapping[str, str]) -> list[str]:
    """A command line."""
    return [*name.split(), *shlex.split(text.format(free=free_port(), **there))]


def expected(command: Command, there: Mapping[str, str], *, narrow: bool = False) -> list[str]:
    """What it says."""
    texts = command.shows if narrow else [*command.shows, *command.wide_only]
    return [text.format(**there) for text in texts]


def shown(name: str, there: Mapping[str, str], columns: int, **variables: str) -> Terminal:
    """A terminal on which the command has ended well, or has said all that it says before it is interrupted."""
    command = COMMANDS[name]
    given = arguments(name, command.works, there)
    with Terminal(*given, columns=columns, **(dict(command.variables) | variables)) as terminal:
        if command.ends:
            assert terminal.end() == 0, terminal.lines
        else:
            terminal.wait_for(command.shows[-1].split()[0])
            terminal.interrupt()
    assert b"Traceback" not in terminal.raw
    assert b"evil\x1b" not in terminal.raw, "a name has reached the terminal as more than text"
    return terminal


def flat(terminal: Terminal) -> str:
    """What the screen shows, whatever was folded on it."""
    return "".join("".join(line.split("│")) for line in terminal.lines).replace(" ", "")


# -- the table is whole ------------------------------------------------------------------------------------------------


def leaves(group: click.Group, above: str = "") -> Iterator[tuple[str, click.Command]]:
    """All commands of a group and of those in it, by their full names."""
    context = click.Context(group)
    for name in group.list_commands(context):
        found = group.get_command(context, name)
        assert found is not None
        if isinstance(found, click.Group):
            yield from leaves(found, f"{above}{name} ")
        else:
            yield f"{above}{name}", found


def test_every_command_has_a_row_and_every_one_with_json_says_what_it_is() -> None:
    found = dict(leaves(main))
    assert found.keys() == COMMANDS.keys()
    with_json = {name for name, command in found.items() if any("--json" in each.opts for each in command.params)}
    assert with_json == {name for name, command in COMMANDS.items() if command.row is not None}


# -- terminals ---------------------------------------------------------------------------------------------------------


@EVERY
def test_a_wide_terminal_shows_it(name: str, there: dict[str, str]) -> None:
    screen = flat(shown(name, there, WIDE))
    for text in expected(COMMANDS[name], there):
        assert text.replace(" ", "") in screen


@EVERY
def test_a_narrow_terminal_without_colours_shows_it(name: str, there: dict[str, str]) -> None:
    terminal = shown(name, there, NARROW, NO_COLOR="1")
    for text in expected(COMMANDS[name], there, narrow=True):
        assert text.replace(" ", "") in flat(terminal)
    assert not re.search(rb"\x1b\[[0-9;]*3[0-7]m", terminal.raw), "a colour"
    torn = [line for line in terminal.lines if line.startswith("│") and not line.endswith("│")]
    assert not torn


@EVERY
def test_a_terminal_without_control_codes_is_sent_none(name: str, there: dict[str, str]) -> None:
    terminal = shown(name, there, WIDE, TERM="dumb")
    assert b"\x1b" not in terminal.raw
    for text in expected(COMMANDS[name], there):
        assert text.replace(" ", "") in flat(terminal)


# -- pipes -------------------------------------------------------------------------------------------------------------


@EVERY
def test_in_a_pipe_it_is_lines_of_plain_text(name: str, there: dict[str, str]) -> None:
    code, out, error = piped(name, there)
    assert (code, error) == (0 if COMMANDS[name].ends else COMMANDS[name].interrupted, "")
    for text in expected(COMMANDS[name], there):
        assert text in out
    assert out.isascii()
    assert "\x1b" not in out


@pytest.mark.parametrize("name", [name for name, command in COMMANDS.items() if command.row is not None])
def test_json_is_an_object_on_each_line(name: str, there: dict[str, str]) -> None:
    code, out, error = piped(name, there, "--json")
    assert code == 0, error
    assert (error == "") is (name != "demo"), "only the demo has a story to tell beside"
    rows = [json.loads(line) for line in out.splitlines()]
    assert rows or not COMMANDS[name].row
    wanted = COMMANDS[name].row or frozenset()
    assert [row for row in rows if not wanted <= row.keys()] == []


def piped(name: str, there: Mapping[str, str], *more: str) -> tuple[int, str, str]:
    """The exit code, and what it said; one that does not end by itself is ended when it has said what it has to."""
    command = COMMANDS[name]
    with process_of(
        [*COMMAND, *name.split(), *more, *arguments(name, command.works, there)[len(name.split()) :]],
        env=environment(**command.variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        said = ""
        if not command.ends:
            assert process.stdout is not None
            while not all(text in said for text in expected(command, there)):
                line = process.stdout.readline()
                assert line, said
                said += line
            process.send_signal(signal.SIGINT)
        out, error = process.communicate(timeout=50)
    return process.returncode, said + out, error


@EVERY
def test_for_a_reader_that_is_gone_it_ends_without_a_traceback(name: str, there: dict[str, str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with process_of(
        [*COMMAND, *arguments(name, COMMANDS[name].works, there)],
        env=environment(**COMMANDS[name].variables),
        stdout=writer,
        stderr=subprocess.PIPE,
    ) as process:
        os.close(writer)
        _, error = process.communicate(timeout=20)
    assert "Traceback" not in error
    assert "Exception ignored" not in error


# -- bad input, and Ctrl-C ---------------------------------------------------------------------------------------------


@EVERY
def test_bad_input_is_one_error_that_names_it_and_what_is_accepted(name: str, there: dict[str, str]) -> None:
    done = pydoudou(*arguments(name, COMMANDS[name].bad, there), **COMMANDS[name].variables)
    assert (done.returncode, done.stdout) == (2, "")
    usage, _, error = done.stderr.partition("\n\n")
    assert usage.startswith(f"Usage: python -m pydoudou {name} ")
    assert error.startswith("Error: ")
    assert len(error.splitlines()) <= 2
    for text in COMMANDS[name].names:
        assert text in error


@EVERY
def test_a_ctrl_c_that_is_typed_ends_it_within_a_second(name: str, there: dict[str, str], silent: Silent) -> None:
    command = COMMANDS[name]
    profiled = {"PYTHONPROFILEIMPORTTIME": "1"} if command.begun == LOADED else {}
    given = arguments(name, command.hangs or command.works, there | {"silent": silent.address})
    with Terminal(*given, columns=WIDE, **(dict(command.variables) | profiled)) as terminal:
        if command.begun:
            terminal.wait_for_bytes(command.begun.encode())
        else:
            silent.wait(terminal.read_on)
        took = terminal.interrupt()
    assert b"Traceback" not in terminal.raw, terminal.lines
    assert took < 1.5
    ended = {0, -signal.SIGINT, command.interrupted} if command.begun == LOADED else {command.interrupted}
    assert terminal.process.returncode in ended


class Silent:
    """A port that takes connections and answers nothing; so do datagrams to it."""

    def __init__(self) -> None:
        self._datagrams = free_for_both("127.0.0.1")
        self._listener = socket.create_server(self._datagrams.getsockname())
        self.address = "127.0.0.1:{1}".format(*self._listener.getsockname())

    def wait(self, meanwhile: Callable[[], None]) -> None:
        """Until somebody connects."""
        over = time.monotonic() + 20
        while not select.select([self._listener], [], [], 0)[0]:
            assert time.monotonic() < over
            meanwhile()

    def close(self) -> None:
        self._listener.close()
        self._datagrams.close()


@pytest.fixture
def silent() -> Iterator[Silent]:
    found = Silent()
    yield found
    found.close()
