"""Servers with workers under `pydoudou run`: one member however many there are, and no call fails when they are told to
end. What the signal does to each by itself differs; that nobody calls any more when it comes does not.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from support.calls_while_draining import CalledEverySoOften, calls_of_both_kinds, get
from support.effort import EFFORT
from support.gossip import FAST_GOSSIP, NEVER_SUSPECTED, gossip_address, gossiping
from support.http_members import HttpMember
from support.server_processes import children, free_port, kill_with_children
from support.waiting import eventually

from pydoudou import Registry, RoundRobin
from pydoudou.contrib.httpx import DiscoveryTransport

APPS = """
def wsgi(environ, start_response):
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]

async def asgi(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})
    elif scope["type"] == "lifespan":
        while True:
            await send({"type": (await receive())["type"] + ".complete"})
"""
GUNICORN = "gunicorn --workers 4 --bind 127.0.0.1:{port} --log-level warning"
SERVERS = {
    "gunicorn sync": f"{GUNICORN} apps:wsgi",
    "gunicorn gthread, preloaded": f"{GUNICORN} --worker-class gthread --threads 4 --preload apps:wsgi",
    "gunicorn gevent": f"{GUNICORN} --worker-class gevent apps:wsgi",
    "gunicorn asgi": f"{GUNICORN} --worker-class asgi apps:asgi",
    "uvicorn with workers": "uvicorn --workers 2 --host 127.0.0.1 --port {port} --log-level warning apps:asgi",
    "hypercorn": "hypercorn --workers 2 --bind 127.0.0.1:{port} --log-level warning apps:asgi",
    "granian": "granian --workers 2 --interface asgi --host 127.0.0.1 --port {port} --log-level warning apps:asgi",
}

KILLED = 2
IN_EVERY_RUN = ["gunicorn gthread, preloaded", "uvicorn with workers", "granian"]
"""A third of them; `make long` runs all."""


def ports(registry: Registry) -> list[int]:
    return [member.port for member in registry.members("orders")]


@contextlib.contextmanager
def under_run(server: str, folder: Path) -> Iterator[tuple[Registry, subprocess.Popen[bytes], int, int]]:
    """Who looks, `pydoudou run` of the server, its port, and the port of a second member, which stays."""
    name, *arguments = SERVERS[server].split()
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"{name} is not installed")
    (folder / "apps.py").write_text(APPS)
    port = free_port()
    command = [sys.executable, "-m", "pydoudou", "run", "--service", "orders", "--port", str(port), "--"]
    command += [str(Path(sys.executable).with_name(name)), *(each.format(port=port) for each in arguments)]
    with contextlib.ExitStack() as stack:
        looking = stack.enter_context(gossiping(**NEVER_SUSPECTED))
        seed = gossip_address(looking)
        stays = stack.enter_context(HttpMember("stays")).member().port
        stack.enter_context(gossiping("orders", GDD_MEM_SEED=seed, GDD_PORT=str(stays), **NEVER_SUSPECTED))
        environment = os.environ | FAST_GOSSIP | NEVER_SUSPECTED | {"GDD_MEM_SEED": seed, "PYTHONPATH": str(folder)}
        process = stack.enter_context(subprocess.Popen(command, env=environment, cwd=folder))
        stack.callback(kill_with_children, process)
        eventually(lambda: sorted(ports(looking)) == sorted([port, stays]), timeout=25)
        assert get("127.0.0.1", port) == 200
        yield looking, process, port, stays


@pytest.mark.parametrize("server", list(SERVERS) if EFFORT > 1 else IN_EVERY_RUN)
def test_a_server_with_workers_is_one_member_and_no_call_fails_while_it_is_told_to_end(
    server: str, tmp_path: Path
) -> None:
    with under_run(server, tmp_path) as (looking, process, port, stays), calls_of_both_kinds(looking):
        time.sleep(0.3)  # calls while nothing happens, on connections that are kept
        assert sorted(ports(looking)) == sorted([port, stays])
        process.send_signal(signal.SIGTERM)
        eventually(lambda: ports(looking) == [stays])
        assert get("127.0.0.1", port) == 200
        assert process.wait(15) in (0, 128 + signal.SIGTERM)
        time.sleep(0.2)  # calls when it is gone


def test_a_worker_that_is_killed_and_replaced_costs_nobody_a_call_that_retries(tmp_path: Path) -> None:
    with under_run("gunicorn gthread, preloaded", tmp_path) as (looking, process, port, stays):
        (server,) = children(process.pid)
        eventually(lambda: len(children(server)) == 4)
        transport = DiscoveryTransport(balancer=lambda name: RoundRobin(name, looking))
        with httpx.Client(transport=transport, timeout=5.0) as client:
            with CalledEverySoOften(lambda: client.get("http://orders/").status_code) as calls:
                for _ in range(KILLED):
                    before = children(server)
                    os.kill(before[0], signal.SIGKILL)
                    eventually(lambda before=before: len({*children(server)} - {*before}) == 1, timeout=20)
            calls.assert_only_cut_off(KILLED)
            assert calls.answered
        assert sorted(ports(looking)) == sorted([port, stays])
