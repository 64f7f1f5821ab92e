"""Under gevent's patches, in a process of its own: gossip works, Nacos works or says what to do."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

pytest.importorskip("gevent")
pytest.importorskip("v2.nacos")

from support.scripted_nacos import ScriptedNacos

LOOPBACK = {"GDD_MEM_HOST": "127.0.0.1", "GDD_MEM_BIND": "127.0.0.1", "GDD_MEM_PORT": "0"}

PROGRAM = """
from gevent import monkey
monkey.patch_all({})
import sys, time
import pydoudou

try:
    registry = pydoudou.new_node()
except pydoudou.SettingsError as error:
    sys.exit(str(error))
deadline = time.monotonic() + 20
while not registry.snapshot("me").members and time.monotonic() < deadline:
    time.sleep(0.01)
print([member.address for member in registry.snapshot("me").members])
pydoudou.shutdown()
"""


@pytest.fixture
def server() -> Iterator[ScriptedNacos]:
    with ScriptedNacos() as server:
        yield server


def run(patches: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """A process that registers `me`, and prints who offers it."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("GDD_")}
    own = {"GDD_SERVICE_NAME": "me", "GDD_PORT": "7000", "GDD_REGISTER_HOST": "127.0.0.1"}
    return subprocess.run(
        [sys.executable, "-c", PROGRAM.format(patches)],
        env=inherited | own | variables,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


def test_gossip_works() -> None:
    done = run("", GDD_SERVICE_DISCOVERY_MODE="memberlist", **LOOPBACK)
    assert (done.stdout, done.stderr, done.returncode) == ("['127.0.0.1:7000']\n", "", 0)


def test_nacos_is_refused_with_the_remedy(server: ScriptedNacos) -> None:
    done = run("", GDD_SERVICE_DISCOVERY_MODE="nacos", GDD_NACOS_SERVER_ADDR=server.address)
    assert done.returncode == 1
    assert "gevent.monkey.patch_all(thread=False)" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_remedy_helps(server: ScriptedNacos) -> None:
    done = run("thread=False", GDD_SERVICE_DISCOVERY_MODE="nacos", GDD_NACOS_SERVER_ADDR=server.address)
    assert (done.stdout, done.stderr, done.returncode) == ("['127.0.0.1:7000']\n", "", 0)
