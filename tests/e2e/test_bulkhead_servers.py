"""A bulkhead under real servers: who is refused goes to another member, and who hangs up gives the place back."""

from __future__ import annotations

import contextlib
import http.client
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import requests
from support.http_members import HttpMember, InOrder
from support.server_processes import free_port, process_of
from support.waiting import eventually

from pydoudou import Member
from pydoudou.contrib.httpx import DiscoveryTransport
from pydoudou.contrib.requests import mount

APPS = """
import time
import anyio
from pydoudou.contrib.protection import asgi as for_asgi, wsgi as for_wsgi

async def hold(receive, send):
    async with anyio.create_task_group() as tasks:
        async def until_gone():
            while (await receive())["type"] != "http.disconnect":
                pass
            tasks.cancel_scope.cancel()
        tasks.start_soon(until_gone)
        for _ in range(600):
            await send({"type": "http.response.body", "body": b"held" * 100, "more_body": True})
            await anyio.sleep(0.05)

async def asgi_app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            await send({"type": (await receive())["type"] + ".complete"})
    while scope["path"] != "/hold" and (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": []})
    if scope["path"] == "/hold":
        await hold(receive, send)
    await send({"type": "http.response.body", "body": b"guarded"})

def wsgi_app(environ, start_response):
    environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    start_response("200 OK", [])
    for _ in range(600 if environ["PATH_INFO"] == "/hold" else 0):
        yield b"held" * 100
        time.sleep(0.05)
    yield b"guarded"

asgi = for_asgi.Bulkhead(asgi_app, 1, 0.05, service="orders")
wsgi = for_wsgi.Bulkhead(wsgi_app, 1, 0.05, service="orders")
"""
SERVERS = {
    "uvicorn": ("uvicorn", "--host", "127.0.0.1", "--port", "{port}", "--log-level", "warning", "apps:asgi"),
    "hypercorn on trio": ("hypercorn", "--bind", "127.0.0.1:{port}", "--worker-class", "trio", "apps:asgi"),
    "gunicorn's threads": ("gunicorn", "--bind", "127.0.0.1:{port}", "--threads", "4", "apps:wsgi"),
    "gunicorn on gevent": ("gunicorn", "--bind", "127.0.0.1:{port}", "--worker-class", "gevent", "apps:wsgi"),
}


@contextlib.contextmanager
def served(name: str, folder: Path) -> Iterator[int]:
    """The port of a server of this kind, when it answers."""
    program, *arguments = SERVERS[name]
    pytest.importorskip(program)
    if "gevent" in name:
        pytest.importorskip("gevent")
    (folder / "apps.py").write_text(APPS)
    port = free_port()
    command = [sys.executable, "-m", program, *(argument.format(port=port) for argument in arguments)]
    with process_of(command, cwd=folder, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL):
        eventually(lambda: answers(port), timeout=40)
        yield port


def answers(port: int) -> bool:
    with contextlib.suppress(OSError):
        return status_of(port)[0] == 200
    return False


def status_of(port: int) -> tuple[int, dict[str, str]]:
    """Status and headers of one answer, on a connection of its own."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as connection:
        connection.request("GET", "/")
        response = connection.getresponse()
        response.read()
        return response.status, {name.lower(): value for name, value in response.getheaders()}


@pytest.mark.parametrize("server", SERVERS)
def test_a_full_member_is_passed_over_and_has_room_again_when_a_caller_hangs_up(server: str, tmp_path: Path) -> None:
    with served(server, tmp_path) as port, HttpMember("other") as other:
        balancer = InOrder(Member("orders", "127.0.0.1", port), other.member())
        with socket.create_connection(("127.0.0.1", port), timeout=20) as holding:
            holding.sendall(b"GET /hold HTTP/1.1\r\nHost: orders\r\n\r\n")
            while b"held" not in holding.recv(65536):
                pass
            status, headers = status_of(port)
            assert (status, headers["retry-after"], headers["x-doudou-not-processed"]) == (503, "1", "orders")
            with httpx.Client(transport=DiscoveryTransport(balancer=lambda name: balancer)) as client:
                assert client.post("http://orders/", content=b"an order").status_code == 200
            with requests.Session() as session:
                mount(session, "orders", balancer)
                assert session.post("http://orders/", data=b"an order").status_code == 200
            assert [(seen.method, seen.body) for seen in other.served] == [("POST", b"an order")] * 2
        eventually(lambda: answers(port), timeout=20)
        with httpx.Client(transport=DiscoveryTransport(balancer=lambda name: balancer)) as client:
            assert client.post("http://orders/", content=b"an order").text == "guarded"
