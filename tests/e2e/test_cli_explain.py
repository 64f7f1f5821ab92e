"""`pydoudou explain` as its users see it: a process that joins a cluster to look."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
from support.gossip import FAST_GOSSIP, gossip_address, gossiping

EXPLAIN = [sys.executable, "-m", "pydoudou", "explain"]
STATIC = {"GDD_SERVICE_DISCOVERY_MODE": "static", "GDD_STATIC_ORDERS": "http://10.0.0.1:80,http://10.0.0.2:80;weight=3"}


def environment(**variables: str) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("GDD_")} | variables


def explain(*options: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*EXPLAIN, *options], env=environment(**variables), capture_output=True, text=True, timeout=50, check=False
    )


@pytest.fixture(scope="module")
def seed() -> Iterator[str]:
    """The gossip address of a node that offers ``orders``."""
    with gossiping("orders", GDD_PORT="6060") as registry:
        yield gossip_address(registry)


def test_it_joins_a_seed_and_tells_of_every_member_and_of_a_call(seed: str) -> None:
    done = explain("orders", "--seed", seed, "--json", **FAST_GOSSIP)
    assert done.returncode == 0, done.stderr
    member, service = map(json.loads, done.stdout.splitlines())
    assert (member["address"], member["status"], member["share"]) == ("127.0.0.1:6060", "in", 1.0)
    assert service["service"] == "orders"
    assert "127.0.0.1:6060" in service["call"]


def test_in_a_pipe_it_says_a_line_for_each_member_and_one_for_a_call() -> None:
    done = explain("orders", **STATIC)
    assert (done.returncode, done.stderr) == (0, "")
    first, second, call = done.stdout.splitlines()
    assert first.startswith("10.0.0.1:80: in")
    assert second.startswith("10.0.0.2:80: in")
    assert "share 25.0%" in first
    assert "share 75.0%" in second
    assert call == "a call would go to one of 2 of 2: 10.0.0.1:80, 10.0.0.2:80"


def test_a_service_without_members_is_an_error_that_says_what_there_is() -> None:
    done = explain("invoices", "--wait", "0.1", **STATIC)
    assert (done.returncode, done.stdout) == (1, "")
    assert "services with members: orders" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("options", "variables", "named"),
    [
        pytest.param([], {"GDD_SERVICE_DISCOVERY_MODE": "gossip"}, "accepted: a comma list of memberlist", id="a mode"),
    ],
)
def test_bad_input_is_one_error_that_names_it(options: list[str], variables: dict[str, str], named: str) -> None:
    done = explain("orders", *options, **variables)
    assert (done.returncode, done.stdout) == (2, "")
    assert named in done.stderr
    assert "Traceback" not in done.stderr
