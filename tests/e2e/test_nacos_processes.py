"""Processes that use Nacos: what they fork, and where they cannot write."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("v2.nacos")

from support.scripted_nacos import ScriptedNacos

NODE = """
import json, os, sys, time
import pydoudou

registry = pydoudou.new_node()
registry.subscribe("fine").wait(5)
deadline = time.monotonic() + 10
while not (registry.status().ready and registry.snapshot("fine").members) and time.monotonic() < deadline:
    time.sleep(0.01)
facts = {
    "status": str(registry.status().backends[0]),
    "ready": registry.status().ready,
    "members": [member.host for member in registry.snapshot("fine").members],
    "inherited": os.environ.get("GRPC_ENABLE_FORK_SUPPORT"),
}
"""

FORKS = """
ends = set()
for _ in range(30):
    if (child := os.fork()) == 0:
        sum(range(1000))
        time.sleep(0.02)
        os._exit(0)
    ends.add(os.waitpid(child, 0)[1])
facts["ends"] = sorted(ends)
"""

TELL = """
print(json.dumps(facts))
pydoudou.shutdown()
"""


def run(server: ScriptedNacos, program: str, *enter: str, **variables: str) -> dict[str, Any]:
    """What the program printed, in a process that registers `me`."""
    settings = {
        "GDD_SERVICE_DISCOVERY_MODE": "nacos",
        "GDD_NACOS_SERVER_ADDR": server.address,
        "GDD_SERVICE_NAME": "me",
        "GDD_REGISTER_HOST": "127.0.0.1",
    }
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("GDD_", "GRPC_"))}
    done = subprocess.run(
        [*enter, sys.executable, "-c", program],
        env=inherited | settings | variables,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    facts: dict[str, Any] = json.loads(done.stdout)
    return facts | {"stderr": done.stderr}


@pytest.fixture
def server() -> Any:
    with ScriptedNacos() as server:
        server.offer("fine", "10.0.0.1")
        yield server


def test_forked_children_that_touch_nothing_live(server: ScriptedNacos) -> None:
    facts = run(server, NODE + FORKS + TELL)
    assert facts["ready"], facts
    assert facts["ends"] == [0]
    assert facts["inherited"] is None


def test_what_the_user_says_of_forks_in_grpc_counts(server: ScriptedNacos) -> None:
    assert run(server, NODE + TELL, GRPC_ENABLE_FORK_SUPPORT="1")["inherited"] == "1"


@pytest.mark.parametrize("variable", ["GDD_NACOS_CACHE_DIR", "TMPDIR"])
def test_a_folder_that_cannot_be_written_costs_nothing_but_what_would_be_in_it(
    server: ScriptedNacos, variable: str, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    facts = run(server, NODE + TELL, **{variable: str(tmp_path / "file" / "folder")})
    assert (facts["ready"], facts["members"]) == (True, ["10.0.0.1"]), facts
    assert ("is not written" in facts["stderr"]) is (variable != "TMPDIR")


def test_a_cache_that_is_asked_for_is_written(server: ScriptedNacos, tmp_path: Path) -> None:
    assert run(server, NODE + TELL, GDD_NACOS_CACHE_DIR=str(tmp_path))["members"] == ["10.0.0.1"]
    assert [path.name for path in tmp_path.rglob("*fine") if path.is_file()] == ["DEFAULT_GROUP@@fine"]
