"""What somebody does first: the demo of a fresh clone, two processes and a client without a port set, a container."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path

import pytest
from support.gossip import FAST_GOSSIP, gossip_address, gossiping
from support.server_processes import children, free_port, process_of
from support.waiting import eventually

from pydoudou import MemberState

ROOT = Path(__file__).parents[2]
NEWCOMER = {name: value for name, value in os.environ.items() if not name.startswith("GDD_")}
DEFAULT_PORT = 7946

SERVICE = """
import http.server, os
import pydoudou

class Items(http.server.SimpleHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(os.environ["GDD_SERVICE_NAME"].encode())

server = http.server.ThreadingHTTPServer(("", int(os.environ["GDD_PORT"])), Items)
with pydoudou.new_node({"zone": "a"}):
    server.serve_forever()
"""

CLIENT = """
import time
import requests
import pydoudou
from pydoudou.contrib.requests import mount

session = requests.Session()
with pydoudou.new_node(register=False) as registry:
    for service in ("orders", "users"):
        mount(session, service)
        until = time.monotonic() + 20
        while not registry.members(service) and time.monotonic() < until:
            time.sleep(0.01)
        print(session.get(f"http://{service}/items").text, flush=True)
"""


def in_a_network_of_its_own() -> Sequence[str]:
    """What to put before a command so that nobody else has the default port; nothing where it is free anyhow."""
    enter = ["unshare", "--net", "--", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]
    tools = shutil.which("unshare") and shutil.which("ip")
    if tools and subprocess.run([*enter, "true"], capture_output=True).returncode == 0:
        return enter
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if taken.connect_ex(("127.0.0.1", DEFAULT_PORT)) == 0:
            pytest.skip(f"somebody has port {DEFAULT_PORT}, and no network can be made that is ours alone")
    return []


def test_two_processes_and_a_client_find_each_other_on_one_machine_without_a_port_set(tmp_path: Path) -> None:
    """As docs/deploy/one-machine.md has it, with the default timing."""
    (tmp_path / "service.py").write_text(SERVICE)
    (tmp_path / "client.py").write_text(CLIENT)
    script = textwrap.dedent("""
        export GDD_MEM_HOST=127.0.0.1 GDD_MEM_SEED=127.0.0.1
        GDD_SERVICE_NAME=orders GDD_PORT=8081 "$1" service.py & orders=$!
        GDD_SERVICE_NAME=users GDD_PORT=8082 "$1" service.py & users=$!
        "$1" client.py
        kill $orders $users
        wait $orders; echo $?
        wait $users; echo $?
        """)
    command = [*in_a_network_of_its_own(), "bash", "-c", script, "bash", sys.executable]
    run = subprocess.run(command, env=NEWCOMER, cwd=tmp_path, capture_output=True, text=True, timeout=55)
    ended_by_sigterm = str(128 + signal.SIGTERM)
    assert run.stdout.split() == ["orders", "users", ended_by_sigterm, ended_by_sigterm], run.stderr


@pytest.mark.skipif(shutil.which("git") is None or not (ROOT / ".git").exists(), reason="this is no clone")
def test_the_demo_runs_in_a_fresh_clone(tmp_path: Path) -> None:
    """What is in the repository is enough; the environment is this one, where everything is installed."""
    clone = tmp_path / "pydoudou"
    subprocess.run(["git", "clone", "--quiet", ROOT, clone], check=True)
    environment = NEWCOMER | {"PYTHONPATH": str(tmp_path), "COLUMNS": "100"}
    command = [sys.executable, "-m", "pydoudou", "demo"]
    run = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=55)
    assert run.returncode == 0, run.stdout + run.stderr
    where = [sys.executable, "-c", "import pydoudou; print(pydoudou.__file__)"]
    told = subprocess.run(where, env=environment, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert Path(told.stdout.strip()).is_relative_to(clone)


def test_the_first_process_of_a_container_leaves_at_sigterm_and_ends() -> None:
    if not shutil.which("unshare") or subprocess.run(["unshare", "--pid", "--fork", "true"]).returncode:
        pytest.skip("a process namespace needs root and unshare")
    program = "import os; print(os.getpid(), flush=True)" + SERVICE
    with gossiping() as looking:
        variables = {
            "GDD_SERVICE_NAME": "orders",
            "GDD_PORT": str(free_port()),
            "GDD_MEM_SEED": gossip_address(looking),
        }
        with (
            looking.watch("orders") as watch,
            process_of(
                ["unshare", "--pid", "--fork", sys.executable, "-c", program],
                env=NEWCOMER | FAST_GOSSIP | variables,
                stdout=subprocess.PIPE,
            ) as unshare,
        ):
            assert unshare.stdout is not None
            assert unshare.stdout.readline() == "1\n"
            eventually(lambda: looking.members("orders"), timeout=20)
            (service,) = children(unshare.pid)
            os.kill(service, signal.SIGTERM)
            assert unshare.wait(10) == 128 + signal.SIGTERM
            changes = (event.member for event in watch)
            assert next(m for m in changes if m.state is MemberState.LEFT).service == "orders"
