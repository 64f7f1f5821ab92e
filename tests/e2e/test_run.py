"""`pydoudou run`: any program is registered while it answers; seen from outside by another node."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.calls_while_draining import called_again, calls_of_both_kinds, get
from support.gossip import FAST_GOSSIP, NEVER_SUSPECTED, gossip_address, gossip_nodes, gossiping
from support.server_processes import children, free_port, process_of
from support.waiting import eventually

from pydoudou import Registry

RUN = [sys.executable, "-m", "pydoudou", "run"]

PROGRAM = """
import http.server, os, signal, sys

class Answers(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self):
        status = int(os.environ.get("STATUS", "200"))
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_POST = do_GET

    def log_message(self, *arguments):
        pass

if "WAIT" in os.environ:
    sys.stdin.readline()
server = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Answers)
server.daemon_threads = True
server.serve_forever()
"""
EXITS = (
    "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(7)); print('up', flush=True); signal.pause()"
)


def environment(seed: str = "", **variables: str) -> dict[str, str]:
    return os.environ | FAST_GOSSIP | NEVER_SUSPECTED | {"GDD_MEM_SEED": seed} | variables


@contextlib.contextmanager
def running(
    seed: str,
    port: int,
    *options: str,
    command: list[str] | None = None,
    before: tuple[str, ...] = (),
    **variables: str,
) -> Iterator[subprocess.Popen[str]]:
    """`pydoudou run` of a program; at the end both are killed if they still run."""
    program = command or [sys.executable, "-c", PROGRAM, str(port)]
    with process_of(
        [*before, *RUN, "--service", "orders", "--port", str(port), *options, "--", *program],
        env=environment(seed, **variables),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        yield process


@pytest.fixture
def looking() -> Iterator[Registry]:
    """Somebody else, who looks."""
    with gossiping(**NEVER_SUSPECTED) as registry:
        yield registry


def ports(registry: Registry) -> set[int]:
    return {member.port for member in registry.members("orders")}


def test_a_program_is_registered_when_it_answers_and_not_before(looking: Registry) -> None:
    port = free_port()
    with running(gossip_address(looking), port, WAIT="1") as process:
        eventually(lambda: gossip_nodes(looking) == 2, timeout=20)
        assert ports(looking) == set()
        assert process.stdin is not None
        process.stdin.write("open\n")
        process.stdin.flush()
        eventually(lambda: ports(looking) == {port}, timeout=20)
        assert get("127.0.0.1", port) == 200


def test_no_call_fails_while_it_is_told_to_end_and_it_is_gone_before_its_port_closes(looking: Registry) -> None:
    seed, goes, stays = gossip_address(looking), free_port(), free_port()
    with running(seed, stays), running(seed, goes, "--drain", "2") as process:
        eventually(lambda: ports(looking) == {goes, stays}, timeout=20)
        with calls_of_both_kinds(looking) as calls:
            called_again(calls)  # on connections that are kept, while nothing happens
            process.send_signal(signal.SIGTERM)
            eventually(lambda: ports(looking) == {stays})
            assert get("127.0.0.1", goes) == 200
            assert process.wait(10) == 128 + signal.SIGTERM
            called_again(calls)  # when it is gone
        assert ports(looking) == {stays}


def test_a_second_sigterm_goes_through_at_once(looking: Registry) -> None:
    port = free_port()
    with running(gossip_address(looking), port, "--drain", "600") as process:
        eventually(lambda: ports(looking) == {port}, timeout=20)
        process.send_signal(signal.SIGTERM)
        eventually(lambda: ports(looking) == set())
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert process.wait(5) == 128 + signal.SIGTERM


@pytest.mark.parametrize(
    ("program", "sent", "code"),
    [
        pytest.param("raise SystemExit(5)", None, 5, id="its own"),
        pytest.param("import os; os.abort()", None, 128 + signal.SIGABRT, id="that of a signal"),
        pytest.param(EXITS, signal.SIGTERM, 7, id="its own after SIGTERM"),
        pytest.param(EXITS, signal.SIGUSR1, 128 + signal.SIGUSR1, id="that of a signal that was sent on"),
        pytest.param(EXITS, signal.SIGINT, 128 + signal.SIGINT, id="that of Ctrl-C"),
    ],
)
def test_the_exit_code_is_that_of_the_program(program: str, sent: signal.Signals | None, code: int) -> None:
    with running("", free_port(), command=[sys.executable, "-c", program]) as process:
        assert process.stdout is not None
        if sent is not None:
            assert process.stdout.readline() == "up\n"
            process.send_signal(sent)
        assert process.wait(15) == code


def test_a_program_that_cannot_be_found_is_an_error_that_says_so() -> None:
    with running("", free_port(), command=["no-such-program"]) as process:
        _, error = process.communicate(timeout=15)
    assert process.returncode == 127
    assert "'no-such-program' cannot be run" in error
    assert "Traceback" not in error


@pytest.mark.parametrize(
    ("options", "named"),
    [
        pytest.param(["--check", "healthz"], "a path such as /healthz", id="a path"),
        pytest.param(["--service", "a b"], "GDD_SERVICE_NAME", id="a name"),
        pytest.param(["--drain", "-1"], "'--drain'", id="a time"),
    ],
)
def test_bad_options_are_one_error_and_nothing_is_started(options: list[str], named: str, tmp_path: Path) -> None:
    made = tmp_path / "made"
    with running("", free_port(), *options, command=["touch", str(made)]) as process:
        _, error = process.communicate(timeout=15)
    assert process.returncode == 2
    assert named in error
    assert not made.exists()


@pytest.mark.skipif(
    shutil.which("unshare") is None or os.geteuid() != 0, reason="a process namespace needs unshare and root"
)
def test_as_the_first_process_of_a_container_it_handles_signals_and_waits_for_orphans(looking: Registry) -> None:
    port = free_port()
    orphans = "import subprocess, sys; subprocess.Popen(['sh', '-c', 'sleep 0.1 & sleep 0.2 & exit 0']).wait()\n"
    program = [sys.executable, "-c", orphans + PROGRAM, str(port)]
    unshare = ("unshare", "--pid", "--fork", "--kill-child")
    with running(gossip_address(looking), port, "--drain", "0.5", command=program, before=unshare) as process:
        eventually(lambda: ports(looking) == {port}, timeout=20)
        (first,) = children(process.pid)
        eventually(lambda: len(children(first)) == 1)
        os.kill(first, signal.SIGTERM)
        assert process.wait(10) == 128 + signal.SIGTERM
        eventually(lambda: ports(looking) == set())


def test_the_pages_command_registers_a_program(looking: Registry) -> None:
    page = (Path(__file__).parents[2] / "docs" / "deploy" / "servers.md").read_text("utf-8")
    (command,) = re.findall(r"^\$ pydoudou run (.*?) -- ", page, re.MULTILINE)
    port = free_port()
    options = [str(port) if option == "8080" else option for option in shlex.split(command)]
    with running(gossip_address(looking), port, *options):
        eventually(lambda: ports(looking) == {port}, timeout=20)
