"""gunicorn with our hooks: one member however many workers, and no call fails when they are told to end."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from support.calls_while_draining import CalledEverySoOften, called_again, calls_of_both_kinds, get
from support.effort import EFFORT
from support.gossip import FAST_GOSSIP, gossip_address, gossip_nodes, gossiping
from support.http_members import HttpMember
from support.server_processes import children, free_port, process_of
from support.waiting import eventually
from support.watched import watched

from pydoudou import MemberEvent, Registry, RoundRobin
from pydoudou.contrib.httpx import DiscoveryTransport

pytest.importorskip("gunicorn")

APPS = """
import os

def wsgi(environ, start_response):
    said = str(os.getpid()).encode()
    start_response("200 OK", [("Content-Length", str(len(said)))])
    return [said]

async def asgi(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})
    elif scope["type"] == "lifespan":
        while True:
            await send({"type": (await receive())["type"] + ".complete"})
"""
CLASSES = {
    "gthread": ("--threads", "4", "apps:wsgi"),
    "sync": ("apps:wsgi",),
    "gevent": ("apps:wsgi",),
    "asgi": ("apps:asgi",),
}
WORKERS = 3
PAGE = (Path(__file__).parents[2] / "docs" / "deploy" / "servers.md").read_text("utf-8")
(CONFIGURATION,) = re.findall(r"^```python\n(from pydoudou\.contrib\.gunicorn .*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def ports(registry: Registry) -> list[int]:
    return [member.port for member in registry.members("orders")]


@contextlib.contextmanager
def gunicorn(worker_class: str, folder: Path) -> Iterator[tuple[Registry, subprocess.Popen[str], int, int]]:
    """Who looks, gunicorn's master, its port, and the port of a second member, which stays."""
    (folder / "apps.py").write_text(APPS)
    (folder / "gunicorn.conf.py").write_text(CONFIGURATION)
    port = free_port()
    options = ("--workers", str(WORKERS), "--bind", f"127.0.0.1:{port}", "--log-level", "warning")
    command = [sys.executable, "-m", "gunicorn", "--worker-class", worker_class, *options, *CLASSES[worker_class]]
    with contextlib.ExitStack() as stack:
        looking = stack.enter_context(gossiping())
        seed = gossip_address(looking)
        stays = stack.enter_context(HttpMember("stays")).member().port
        stack.enter_context(gossiping("orders", GDD_MEM_SEED=seed, GDD_PORT=str(stays)))
        variables = {"GDD_MEM_SEED": seed, "GDD_SERVICE_NAME": "orders", "GDD_PORT": str(port)}
        process = stack.enter_context(process_of(command, env=os.environ | FAST_GOSSIP | variables, cwd=folder))
        eventually(lambda: sorted(ports(looking)) == sorted([port, stays]), timeout=25)
        eventually(lambda: gossip_nodes(looking) == 3, timeout=25)
        assert get("127.0.0.1", port) == 200
        yield looking, process, port, stays


@pytest.mark.parametrize("worker_class", list(CLASSES) if EFFORT > 1 else ["gthread", "asgi"])
def test_its_workers_are_one_member_and_no_call_fails_while_they_are_told_to_end(
    worker_class: str, tmp_path: Path
) -> None:
    with gunicorn(worker_class, tmp_path) as (looking, process, port, stays), calls_of_both_kinds(looking) as calls:
        called_again(calls)  # on connections that are kept, while nothing happens
        assert sorted(ports(looking)) == sorted([port, stays])
        process.send_signal(signal.SIGTERM)
        eventually(lambda: ports(looking) == [stays])
        assert get("127.0.0.1", port) == 200
        assert process.wait(15) == 0
        called_again(calls)  # when it is gone


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGHUP], ids=["killed", "reloaded"])
def test_workers_are_replaced_and_the_service_stays_registered(how: signal.Signals, tmp_path: Path) -> None:
    with gunicorn("gthread", tmp_path) as (looking, process, port, stays):
        transport = DiscoveryTransport(balancer=lambda name: RoundRobin(name, looking))
        seen: list[MemberEvent] = []
        with httpx.Client(transport=transport, timeout=5.0) as client, watched(looking, "orders", seen.append):
            with (
                CalledEverySoOften(lambda: client.get("http://orders/").status_code) as calls,
            ):
                before = children(process.pid)
                for worker in before if how is signal.SIGKILL else []:
                    os.kill(worker, signal.SIGKILL)
                    eventually(
                        lambda worker=worker: worker not in (now := children(process.pid)) and len(now) == 3, timeout=20
                    )
                if how is signal.SIGHUP:
                    process.send_signal(how)
                    eventually(lambda: len(now := children(process.pid)) == 3 and not {*now} & {*before}, timeout=20)
            calls.assert_only_cut_off(len(before) if how is signal.SIGKILL else 0)
            assert calls.answered
            eventually(lambda: gossip_nodes(looking) == 3, timeout=20)
            gone = [event for event in seen if event.member.port == port and not event.member.state.present]
            assert gone == []
        assert sorted(ports(looking)) == sorted([port, stays])
