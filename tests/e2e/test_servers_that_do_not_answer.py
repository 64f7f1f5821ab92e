"""Servers that never answer, answer badly, or find their port taken: registered never, and that is said."""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.effort import EFFORT
from support.gossip import FAST_GOSSIP, NEVER_SUSPECTED, gossip_address, gossip_nodes, gossiping
from support.http_members import HttpMember
from support.served import SETUPS, command_of, written
from support.server_processes import free_port, process_of
from support.waiting import eventually
from support.watched import watched

from pydoudou import MemberEvent, Registry

NOTHING, BADLY = "Connection refused", "status 500"
EACH_WAY = ["uvicorn", "gunicorn gthread", "waitress, Flask", "hypercorn in process", "Go under run"]
"""Each way to be registered."""
ALL = [(name, problem) for name in EACH_WAY for problem in (NOTHING, BADLY) if (name, problem) != (EACH_WAY[-1], BADLY)]
BESIDE_EACH_OTHER = ALL if EFFORT > 1 else ALL[::2]


@pytest.fixture
def looking() -> Iterator[Registry]:
    """Somebody else, who looks."""
    with gossiping(**NEVER_SUSPECTED) as registry:
        yield registry


@contextlib.contextmanager
def started(
    name: str, folder: Path, looking: Registry, port: int, *, registered: int | None = None, **variables: str
) -> Iterator[subprocess.Popen[str]]:
    """The server on `port`, which is to be registered with that or another one; killed at the end if it still runs."""
    written(name, folder)
    own = {"GDD_SERVICE_NAME": "orders", "GDD_PORT": str(registered or port), "GDD_MEM_SEED": gossip_address(looking)}
    with process_of(
        command_of(SETUPS[name], port, registered or port),
        env=os.environ | FAST_GOSSIP | NEVER_SUSPECTED | own | {"PYTHONPATH": str(folder)} | variables,
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    ) as process:
        yield process


class Said:
    """What the process writes to its standard error, by line."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.lines: list[str] = []
        self._process = process
        self.reader = threading.Thread(target=self._read)
        self.reader.start()

    def _read(self) -> None:
        assert self._process.stderr is not None
        self.lines.extend(iter(self._process.stderr.readline, ""))

    def warnings(self) -> list[str]:
        return [line for line in self.lines if "is not registered: GET http" in line]


def test_what_does_not_answer_is_never_registered_and_one_warning_says_what_was_tried(
    looking: Registry, tmp_path: Path
) -> None:
    """Those that listen on another port than they say, and those that answer with 500, all of them beside each other:
    the warning comes after ten seconds.
    """
    with contextlib.ExitStack() as stack:
        seen: list[MemberEvent] = []
        stack.enter_context(watched(looking, "orders", seen.append))
        said: list[tuple[Said, int, str]] = []
        for number, (name, problem) in enumerate(BESIDE_EACH_OTHER):
            folder = tmp_path / str(number)
            folder.mkdir()
            port = free_port()
            registered = free_port() if problem == NOTHING else port
            variables = {"XDG_RUNTIME_DIR": str(folder), "STATUS": "500" if problem == BADLY else "200"}
            process = stack.enter_context(started(name, folder, looking, port, registered=registered, **variables))
            said.append((Said(process), registered, problem))
        for heard, registered, problem in said:
            # Each worker of gunicorn asks, and each says it once.
            eventually(lambda heard=heard: len(heard.warnings()) in (1, 4), timeout=35)
            (warning, *_) = heard.warnings()
            assert f"GET http://127.0.0.1:{registered}/, which is its advertised address" in warning
            assert problem in warning
        assert looking.members("orders") == ()
        assert seen == []
    for heard, *_ in said:
        heard.reader.join()


@pytest.mark.parametrize("name", ["uvicorn", "waitress, Flask", "hypercorn in process", "Go under run"])
def test_a_server_whose_port_another_one_has_says_so_itself_and_is_not_registered_for_a_moment(
    name: str, looking: Registry, tmp_path: Path
) -> None:
    seen: list[MemberEvent] = []
    with HttpMember("of somebody else") as other, watched(looking, "orders", seen.append):
        # Slow to find out, so that there is time to take the other one's answers for its own.
        with started(name, tmp_path, looking, other.member().port, STARTUP="0.7") as process:
            _, error = process.communicate(timeout=30)
        assert process.returncode not in (0, None)
        assert "address already in use" in error.lower()
        eventually(lambda: gossip_nodes(looking) == 1)  # what it may have said has arrived
        assert seen == []
