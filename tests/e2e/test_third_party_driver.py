"""The example of the manual's page on third-party drivers: installed as a package of its own, and used."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest
from support.server_processes import end_by_its_input
from support.waiting import eventually

DOCS = Path(__file__).parents[2] / "docs"
EXAMPLE = DOCS / "examples" / "third-party-driver"
PAGE = (DOCS / "third-party-drivers.md").read_text(encoding="utf-8")
LOOPBACK = {"GDD_MEM_HOST": "127.0.0.1", "GDD_MEM_BIND": "127.0.0.1", "GDD_MEM_PORT": "0"}

# Tells of every change, and answers each line on its standard input with what it knows.
PROGRAM = """
import json, os, sys, threading
import anyio, pydoudou, pydoudou_file

one_at_a_time = threading.Lock()

def tell(**facts):
    with one_at_a_time:
        print(json.dumps(facts), flush=True)

try:
    registry = pydoudou.new_node(register="GDD_SERVICE_NAME" in os.environ)
except pydoudou.SettingsError as error:
    sys.exit(str(error))

def follow(changes):
    for event in changes:
        tell(event=event.kind.value, host=event.member.host, weight=event.member.weight)

changes = registry.watch("orders")
registry.subscribe("orders").wait(5)
threading.Thread(target=follow, args=(changes,), daemon=True).start()
subscriptions = {}
for line in sys.stdin:
    command, _, service = line.strip().partition(" ")
    if command == "subscribe":
        subscriptions[service] = registry.subscribe(service)
        subscriptions[service].wait(5)
    elif command == "unsubscribe":
        subscriptions.pop(service).close()
    elif command == "break":  # as a defect would be
        pydoudou_file.anyio = None
    elif command == "mend":
        pydoudou_file.anyio = anyio
    status = registry.status()
    tell(
        members={member.address: member.sources for member in registry.snapshot("orders").members},
        known=status.services,
        services=sorted({member.service for each in subscriptions for member in registry.snapshot(each).members}),
        url=[member.base_url for member in registry.snapshot("orders").members],
        backends=[str(backend) for backend in status.backends],
        restarts=sum(backend.restarts for backend in status.backends),
        running=[backend.running for backend in status.backends],
        ready=status.ready,
        stale=status.stale,
    )
pydoudou.shutdown()
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which pip has installed a copy of the example: a build leaves its workings beside the sources."""
    folder = tmp_path_factory.mktemp("third-party")
    shutil.copytree(EXAMPLE, folder / "source")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
    offline = ["--no-index", "--no-deps", "--no-build-isolation"]
    done = subprocess.run(
        [*pip, *offline, "--target", str(folder / "site"), str(folder / "source")],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "site"


class Program:
    """A running process with `PROGRAM`, as a context manager.

    Args:
        complains: what it says on its standard error, nothing else.
    """

    def __init__(self, installed: Path, *, complains: str = "", **variables: str) -> None:
        self._complains = re.compile(complains, re.DOTALL)
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("GDD_")}
        self._process = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", PROGRAM],
            env=inherited | {"PYTHONPATH": str(installed)} | variables,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._events: list[dict[str, Any]] = []

    def ask(self, command: str = "") -> dict[str, Any]:
        """Have it do something; what it knows then. Changes that it tells of meanwhile are kept for `event`."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{command}\n")
        self._process.stdin.flush()
        while "event" in (answer := self._read()):
            self._events.append(answer)
        return answer

    def event(self) -> dict[str, Any]:
        """The next change, as soon as there is one."""
        return self._events.pop(0) if self._events else self._read()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, self.end()
        answer: dict[str, Any] = json.loads(line)
        return answer

    def end(self) -> str:
        """End it; what it wrote to its standard error."""
        return end_by_its_input(self._process)

    def __enter__(self) -> Program:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            complaint = self.end()
            if error is None:
                assert self._complains.fullmatch(complaint), complaint
                assert self._process.returncode == 0


@pytest.fixture
def members_file(tmp_path: Path) -> Path:
    path = tmp_path / "members.json"
    write(path, "10.0.0.1")
    return path


@pytest.fixture
def start(installed: Path, members_file: Path) -> Iterator[Callable[..., Program]]:
    """Starts it in the mode ``file`` alone."""
    with contextlib.ExitStack() as programs:

        def started(**arguments: str) -> Program:
            variables = {"GDD_FILE_PATH": str(members_file), "GDD_FILE_INTERVAL": "50ms"} | arguments
            return programs.enter_context(Program(installed, GDD_SERVICE_DISCOVERY_MODE="file", **variables))

        yield started


@pytest.fixture
def program(start: Callable[..., Program]) -> Program:
    """The same, once."""
    return start()


def write(path: Path, *hosts: str, weight: int = 1, **others: list[object]) -> None:
    """Replace the file at once, as the page advises: members of `orders`, and other services as they stand."""
    members = [{"host": host, "port": 8080, "weight": weight} for host in hosts]
    new = path.with_suffix(".new")
    new.write_text(json.dumps({"orders": members} | others))
    new.replace(path)


def ask_until(program: Program, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """Its first answer that is as `wanted`."""
    answer: dict[str, Any] = {}

    def answered() -> bool:
        answer.update(program.ask())
        return wanted(answer)

    eventually(answered, timeout=20)
    return answer


def test_members_appear_and_every_change_of_the_file_is_followed(program: Program, members_file: Path) -> None:
    assert program.event() == {"event": "joined", "host": "10.0.0.1", "weight": 1}
    first = program.ask()
    assert first["members"] == {"10.0.0.1:8080": ["file"]}
    assert first["url"] == ["http://10.0.0.1:8080"]
    assert first["ready"]
    assert first["backends"] == [f"file: ready, members in {members_file}: 1"]
    write(members_file, "10.0.0.1", "10.0.0.2")
    assert program.event() == {"event": "joined", "host": "10.0.0.2", "weight": 1}
    write(members_file, "10.0.0.2", weight=3)
    changes = [program.event(), program.event()]
    assert {"event": "left", "host": "10.0.0.1", "weight": 1} in changes
    assert {"event": "updated", "host": "10.0.0.2", "weight": 3} in changes


@pytest.mark.parametrize("text", ['{"orders": [{"host": "10.0', "[]", '{"orders": 7}', '{"orders": [1]}', None])
def test_a_file_that_cannot_be_read_costs_nobody_and_is_told(
    program: Program, members_file: Path, text: str | None
) -> None:
    assert program.event()["event"] == "joined"
    if text is None:
        members_file.unlink()
    else:
        members_file.write_text(text)
    blind = ask_until(program, lambda answer: not answer["ready"])
    assert blind["members"] == {"10.0.0.1:8080": ["file"]}
    assert blind["stale"] == ["orders"]
    assert "not authoritative at present (cannot read" in blind["backends"][0]
    write(members_file, "10.0.0.9")
    seeing = ask_until(program, lambda answer: answer["ready"] and not answer["stale"])
    assert seeing["members"] == {"10.0.0.9:8080": ["file"]}


def test_only_what_somebody_asks_for_is_reported_and_as_long_as_they_do(program: Program, members_file: Path) -> None:
    one, other = {"host": "10.0.1.1", "port": 1}, {"host": "10.0.1.2", "port": 1}
    write(members_file, "10.0.0.1", stock=[one], users=[other])
    ask_until(program, lambda answer: "members in" in answer["backends"][0] and "3" in answer["backends"][0])
    assert program.ask("subscribe stock")["services"] == ["stock"]
    assert program.ask("subscribe users_rest")["services"] == ["stock", "users"]
    program.ask("unsubscribe stock")
    left = ask_until(program, lambda answer: answer["known"] == 2)
    assert left["services"] == ["users"]
    assert left["members"] == {"10.0.0.1:8080": ["file"]}
    assert program.ask("subscribe stock")["services"] == ["stock", "users"]


def test_an_unusable_member_is_left_out_alone_and_said_once(start: Callable[..., Program], members_file: Path) -> None:
    bad = [{"host": "u:p@h", "port": 80}, {"host": "h"}, {"host": "h", "port": 80, "weight": "heavy"}]
    line = "dropped what [^\n]* says: [^\n]*\n"
    with start(complains=f"({line}){{4}}") as program:
        write(members_file, "10.0.0.1", **{"evil\x1b[2J": bad[:1], "orders": [*bad, {"host": "10.0.0.7", "port": 1}]})
        assert program.event()["host"] == "10.0.0.7"
        seen = ask_until(program, lambda answer: "10.0.0.1:8080" not in answer["members"])
        assert seen["members"] == {"10.0.0.7:1": ["file"]}
        assert seen["ready"]


def test_a_driver_that_ends_is_started_again_and_told_what_is_wanted(
    start: Callable[..., Program], members_file: Path
) -> None:
    with start(complains="(the file driver has ended and is started again in [^\n]*\n)+") as program:
        ask_until(program, lambda answer: answer["members"] == {"10.0.0.1:8080": ["file"]})
        program.ask("break")
        broken = ask_until(program, lambda answer: answer["restarts"] > 0)
        assert broken["members"] == {"10.0.0.1:8080": ["file"]}
        write(members_file, "10.0.0.1", "10.0.0.2")
        program.ask("mend")
        again = ask_until(program, lambda answer: len(answer["members"]) == 2 and answer["ready"])
        assert again["stale"] == []


def test_a_file_that_appears_later_is_found(installed: Path, tmp_path: Path) -> None:
    path = tmp_path / "members.json"
    with Program(
        installed, GDD_SERVICE_DISCOVERY_MODE="file", GDD_FILE_PATH=str(path), GDD_FILE_INTERVAL="50ms"
    ) as program:
        assert program.ask()["members"] == {}
        write(path, "10.0.0.1")
        assert program.event()["host"] == "10.0.0.1"


def test_it_works_beside_gossip(installed: Path, members_file: Path) -> None:
    with Program(
        installed,
        GDD_SERVICE_DISCOVERY_MODE="memberlist,file",
        GDD_FILE_PATH=str(members_file),
        GDD_FILE_INTERVAL="50ms",
        GDD_SERVICE_NAME="orders",
        GDD_REGISTER_HOST="10.0.0.1",
        GDD_PORT="8080",
        **LOOPBACK,
    ) as program:
        write(members_file, "10.0.0.1", "127.0.0.1")
        known = ask_until(program, lambda answer: len(answer["members"]) == 2)
        assert known["members"] == {"10.0.0.1:8080": ["memberlist", "file"], "127.0.0.1:8080": ["file"]}


def test_its_bad_variables_are_reported_together_with_all_others(installed: Path) -> None:
    program = Program(
        installed,
        GDD_SERVICE_DISCOVERY_MODE="memberlist,file",
        GDD_SERVICE_NAME="orders",
        GDD_PORT="abc",
        GDD_MEM_SEED="[::1",
        GDD_FILE_INTERVAL="soon",
        **LOOPBACK,
    )
    complaint = program.end()
    assert complaint.startswith("4 settings cannot be used:")
    assert "GDD_FILE_PATH is not set; accepted: the path of a JSON file" in complaint
    assert "GDD_FILE_INTERVAL is 'soon'; accepted: a duration" in complaint


@pytest.mark.parametrize("language", ["python", "toml"])
def test_the_page_quotes_the_example_as_it_is(language: str) -> None:
    quoted = re.findall(rf"^```{language}\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)
    assert quoted
    sources = [path.read_text(encoding="utf-8") for path in EXAMPLE.iterdir() if path.is_file()]
    for block in quoted:
        assert any(block in source for source in sources), block


def test_what_the_page_has_one_try_prints_what_it_says(installed: Path, tmp_path: Path) -> None:
    (block,) = re.findall(r"^```console\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)
    commands, _, printed = block.replace("\n$ ", "\n").removeprefix("$ ").rpartition("'\n")
    program = "\n".join(line for line in f"{commands}'".splitlines() if not line.startswith("pip "))
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("GDD_")}
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-e", "-c", program],
        cwd=tmp_path,
        env=inherited | {"PYTHONPATH": str(installed), "PATH": path},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert (done.stdout, done.stderr) == (printed, "")
