"""The harness itself: a peer answers, tells of its failures, and never outlives the test run."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from support.go_peer import GoPeer
from support.peers import locate
from support.waiting import eventually

TESTS = Path(__file__).parents[1]


def listens(address: str) -> bool:
    """Whether somebody holds the port: of a process that is stopped the kernel accepts connections too."""
    host, port = address.rsplit(":", 1)
    with socket.socket() as connection:
        return connection.connect_ex((host, int(port))) == 0


def test_a_command_gets_its_own_answer_also_while_the_peer_still_joins() -> None:
    with GoPeer("go-1") as seed, GoPeer("go-2", "-join", seed.address) as go:
        assert go.command("local")["local"]["name"] == "go-2"


def test_a_command_that_fails_says_why() -> None:
    with GoPeer("go-1") as go, pytest.raises(AssertionError, match="unknown node"):
        go.command("ping nobody")


def test_a_peer_that_cannot_start_says_why_without_waiting() -> None:
    with GoPeer("go-1") as go, pytest.raises(AssertionError, match="address already in use"):
        GoPeer("go-2", "-port", go.address.rsplit(":", 1)[1])


def test_closing_ends_a_peer_that_stands_still() -> None:
    with GoPeer("go-1") as go:
        go.kill(signal.SIGSTOP)
    assert not listens(go.address)


@pytest.mark.parametrize("stopped", [False, True])
def test_a_peer_ends_with_a_test_run_that_is_killed(stopped: bool) -> None:
    locate("memberlist")
    program = (
        "import signal\n"
        "from support.go_peer import GoPeer\n"
        "peer = GoPeer('go-1')\n"
        f"if {stopped}: peer.kill(signal.SIGSTOP)\n"
        "print(peer.address, flush=True)\n"
        "signal.pause()\n"
    )
    environment = os.environ | {"PYTHONPATH": str(TESTS)}
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, env=environment) as run:
        assert run.stdout is not None
        address = run.stdout.readline().strip()
        assert listens(address)
        run.kill()
    eventually(lambda: not listens(address))
