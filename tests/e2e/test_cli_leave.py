"""``pydoudou leave``: a node that was killed is taken out of everybody's view, one that lives is not."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest
from support.commands import Terminal, pydoudou
from support.gossip import FAST_GOSSIP, gossip_address, gossiping
from support.service_process import ServiceProcess
from support.waiting import eventually

from pydoudou import MemberState, Registry

LONG_SUSPECT = {"GDD_MEM_SUSPICION_MULT": "300", "GDD_MEM_NAME": "orders-1"}


@pytest.fixture
def watching() -> Iterator[Registry]:
    """A node whose suspicions last for minutes, and that knows of ``carts-1``, which runs."""
    with gossiping("orders", **LONG_SUSPECT) as registry:
        yield registry


@pytest.fixture
def carts(watching: Registry) -> Iterator[ServiceProcess]:
    own = {"GDD_SERVICE_NAME": "carts", "GDD_MEM_NAME": "carts-1", "GDD_MEM_SEED": gossip_address(watching)}
    with ServiceProcess("carts", FAST_GOSSIP | own) as process:
        eventually(lambda: states(watching) == [MemberState.ALIVE], 20)
        yield process


def states(registry: Registry) -> list[MemberState]:
    return [member.state for member in registry.members("carts")]


def test_a_node_that_was_killed_is_dropped_at_once_and_not_before_somebody_says_yes(
    watching: Registry, carts: ServiceProcess
) -> None:
    seed = ("--seed", gossip_address(watching))
    os.kill(carts.pid, signal.SIGKILL)
    eventually(lambda: states(watching) == [MemberState.SUSPECT], 20)

    nobody_to_ask = pydoudou("leave", "carts-1", *seed, **FAST_GOSSIP)
    assert (nobody_to_ask.returncode, nobody_to_ask.stdout) == (2, ""), nobody_to_ask.stderr
    assert "--yes" in nobody_to_ask.stderr

    with Terminal("leave", "carts-1", *seed, **FAST_GOSSIP) as terminal:
        terminal.wait_for("[y/N]")
        terminal.write("n\n")
        assert terminal.end() == 1
    assert states(watching) == [MemberState.SUSPECT]

    with Terminal("leave", "carts-1", *seed, **FAST_GOSSIP) as terminal:
        terminal.wait_for("[y/N]")
        terminal.write("y\n")
        assert terminal.end() == 0
        assert "1 node told that carts-1 has left" in terminal.lines[-1]
    eventually(lambda: states(watching) == [], 5)


def test_a_node_that_lives_is_left_alone(watching: Registry, carts: ServiceProcess) -> None:
    done = pydoudou("leave", "carts-1", "--yes", "--seed", gossip_address(watching), **FAST_GOSSIP)
    assert (done.returncode, done.stdout) == (1, "")
    assert "carts-1 is alive, and a notice that it has left would be forged" in done.stderr
    assert "SIGTERM" in done.stderr
    assert states(watching) == [MemberState.ALIVE]


def test_a_node_that_nobody_knows_is_an_error(watching: Registry) -> None:
    done = pydoudou("leave", "nobody", "--yes", "--seed", gossip_address(watching), **FAST_GOSSIP)
    assert (done.returncode, done.stdout) == (1, "")
    assert "orders-1" in done.stderr
