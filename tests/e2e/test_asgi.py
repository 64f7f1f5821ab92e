"""Applications under uvicorn: registered when they answer, and no call fails when they are told to end."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.calls_while_draining import called_again, calls_of_both_kinds
from support.gossip import FAST_GOSSIP, NEVER_SUSPECTED, gossip_address, gossiping
from support.http_members import HttpMember
from support.server_processes import free_port, process_of
from support.waiting import eventually

from pydoudou import Registry

pytest.importorskip("uvicorn")

OWN = """
import contextlib
import pydoudou
from pydoudou.discovery import default_registry

@contextlib.asynccontextmanager
async def own(app):
    assert default_registry.current().status().presence == "held back"
    yield {"said": "from the lifespan"}
    assert default_registry.current() is not None
    print("own shutdown", flush=True)
"""
STARLETTE = f"""{OWN}
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from pydoudou.contrib.starlette import lifespan

async def said(request):
    return PlainTextResponse(request.state.said)

app = Starlette(routes=[Route("/", said, methods=["GET", "POST"])], lifespan=lifespan(own))
"""
FASTAPI = f"""{OWN}
from fastapi import FastAPI, Request
from pydoudou.contrib.fastapi import lifespan

app = FastAPI(lifespan=lifespan(own, check="/docs"))

@app.api_route("/", methods=["GET", "POST"])
async def said(request: Request):
    return request.state.said
"""
WITHOUT_LIFESPAN = """
from pydoudou.contrib.asgi import Registered

async def answers(scope, receive, send):
    if scope["type"] != "http":
        raise ValueError("HTTP alone, not " + scope["type"])
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"from the lifespan"})

app = Registered(answers)
"""
WRAPPED = f"""{OWN}
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from pydoudou.contrib.asgi import Registered

async def said(request):
    return PlainTextResponse(request.state.said)

app = Registered(Starlette(routes=[Route("/", said, methods=["GET", "POST"])], lifespan=own))
"""
APPS = pytest.mark.parametrize(
    ("program", "needs", "has_own"),
    [
        pytest.param(STARLETTE, "starlette", True, id="starlette"),
        pytest.param(FASTAPI, "fastapi", True, id="fastapi"),
        pytest.param(WITHOUT_LIFESPAN, "uvicorn", False, id="an application without a lifespan"),
        pytest.param(WRAPPED, "starlette", True, id="an application with one, wrapped"),
    ],
)


@contextlib.contextmanager
def uvicorn(folder: Path, program: str, port: int, **variables: str) -> Iterator[subprocess.Popen[str]]:
    """uvicorn serving the `app` of a program; it is killed at the end if it still runs."""
    (folder / "served_here.py").write_text(program)
    command = ["uvicorn", "served_here:app", "--host", "127.0.0.1", "--port", str(port), "--log-level", "warning"]
    with process_of(
        [sys.executable, "-m", *command, "--app-dir", str(folder)],
        env=os.environ | FAST_GOSSIP | NEVER_SUSPECTED | {"GDD_PORT": str(port)} | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        yield process


def answer(port: int) -> tuple[str, str | None]:
    """What it says, and whether it ends the connection."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=5)) as connection:
        connection.request("GET", "/")
        response = connection.getresponse()
        return response.read().decode().strip('"'), response.getheader("Connection")


def ports(registry: Registry) -> set[int]:
    return {member.port for member in registry.members("orders")}


@APPS
def test_it_is_registered_when_it_answers_and_no_call_fails_while_it_is_told_to_end(
    program: str, needs: str, has_own: bool, tmp_path: Path
) -> None:
    pytest.importorskip(needs)
    goes = free_port()
    with contextlib.ExitStack() as stack:
        looking = stack.enter_context(gossiping(**NEVER_SUSPECTED))
        seed = gossip_address(looking)
        stays = stack.enter_context(HttpMember("stays")).member().port
        stack.enter_context(gossiping("orders", GDD_MEM_SEED=seed, GDD_PORT=str(stays), **NEVER_SUSPECTED))
        process = stack.enter_context(uvicorn(tmp_path, program, goes, GDD_SERVICE_NAME="orders", GDD_MEM_SEED=seed))
        eventually(lambda: goes in ports(looking), timeout=20)
        assert answer(goes) == ("from the lifespan", None)
        with calls_of_both_kinds(looking) as calls:
            called_again(calls)  # on connections that are kept, while nothing happens
            process.send_signal(signal.SIGTERM)
            eventually(lambda: ports(looking) == {stays})
            assert answer(goes) == ("from the lifespan", "close")
            assert process.wait(10) == -signal.SIGTERM
            called_again(calls)  # when it is gone
        assert process.stdout is not None
        assert process.stdout.read() == ("own shutdown\n" if has_own else "")
        assert process.stderr is not None
        assert process.stderr.read() == ""


def test_a_second_sigterm_ends_it_at_once(tmp_path: Path) -> None:
    port = free_port()
    with gossiping(**NEVER_SUSPECTED) as looking:
        variables = {"GDD_SERVICE_NAME": "orders", "GDD_MEM_SEED": gossip_address(looking), "GDD_DRAIN_TIME": "600s"}
        with uvicorn(tmp_path, WITHOUT_LIFESPAN, port, **variables) as process:
            eventually(lambda: ports(looking) == {port}, timeout=20)
            process.send_signal(signal.SIGTERM)
            eventually(lambda: ports(looking) == set())
            assert process.poll() is None
            process.send_signal(signal.SIGTERM)
            assert process.wait(10) == -signal.SIGTERM


def test_a_registry_that_cannot_start_is_a_startup_that_failed(tmp_path: Path) -> None:
    with uvicorn(tmp_path, WITHOUT_LIFESPAN, free_port(), GDD_SERVICE_NAME="") as process:
        _, error = process.communicate(timeout=20)
    assert process.returncode == 3
    assert "SettingsError" in error
    assert "GDD_SERVICE_NAME" in error


PAGE = (Path(__file__).parents[2] / "docs" / "deploy" / "servers.md").read_text("utf-8")
BLOCKS = [
    block
    for block in re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    if re.search(r"^app = (?!Celery)", block, re.MULTILINE)
]


@pytest.mark.parametrize("block", BLOCKS, ids=["fastapi", "starlette", "django", "any"])
def test_the_pages_applications_are_registered_and_leave(block: str, tmp_path: Path) -> None:
    for library in ("django", "fastapi", "starlette"):
        if f"from {library}" in block:
            pytest.importorskip(library)
    port = free_port()
    with gossiping(**NEVER_SUSPECTED) as looking:
        variables = {"GDD_SERVICE_NAME": "orders", "GDD_MEM_SEED": gossip_address(looking), "GDD_DRAIN_TIME": "0"}
        with uvicorn(tmp_path, block, port, **variables) as process:
            eventually(lambda: ports(looking) == {port}, timeout=20)
            assert answer(port)[0] in ("hello", '{"detail":"Not Found"}')
            process.send_signal(signal.SIGTERM)
            assert process.wait(10) == -signal.SIGTERM
            eventually(lambda: ports(looking) == set())
