"""Whoever starts and stops an integration again and again keeps no thread, no descriptor and no file of it."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from support.effort import EFFORT
from support.gossip import FAST_GOSSIP, NEVER_SUSPECTED, gossip_address, gossip_nodes, gossiping
from support.held import Holdings
from support.served import served
from support.server_processes import children, free_port, process_of
from support.waiting import eventually, eventually_async

from pydoudou import Registry, Settings

CYCLES = 20 if EFFORT > 1 else 3


def ok(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]


async def asynchronous(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        for _ in range(2):
            await send({"type": (await receive())["type"] + ".complete"})
    else:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})


# -- one cycle of each, served until the block has ended ---------------------------------------------------------------


@contextlib.contextmanager
def on_uvicorn(app: Any, port: int) -> Iterator[None]:
    import uvicorn

    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="critical", lifespan="on"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(20)


@contextlib.contextmanager
def asgi(settings: Settings) -> Iterator[None]:
    from pydoudou.contrib.asgi import Registered

    with on_uvicorn(Registered(asynchronous, settings=settings), settings.port):
        yield


@contextlib.contextmanager
def starlette(settings: Settings) -> Iterator[None]:
    from starlette.applications import Starlette

    from pydoudou.contrib.starlette import lifespan

    with on_uvicorn(Starlette(lifespan=lifespan(settings=settings)), settings.port):
        yield


@contextlib.contextmanager
def fastapi(settings: Settings) -> Iterator[None]:
    from fastapi import FastAPI

    from pydoudou.contrib.fastapi import lifespan

    with on_uvicorn(FastAPI(lifespan=lifespan(settings=settings)), settings.port):
        yield


@contextlib.contextmanager
def hypercorn(settings: Settings) -> Iterator[None]:
    from hypercorn.config import Config

    from pydoudou.contrib.hypercorn import serve

    over = threading.Event()
    config = Config.from_mapping(bind=[f"127.0.0.1:{settings.port}"], loglevel="critical")

    async def told() -> None:
        await eventually_async(over.is_set, within=60)

    serving = functools.partial(serve, asynchronous, config, shutdown_trigger=told, settings=settings, drain=0)
    thread = threading.Thread(target=anyio.run, args=(serving,))
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(20)


@contextlib.contextmanager
def on_waitress(app: Any, server: Any, port: int) -> Iterator[None]:
    import waitress

    listening = waitress.create_server(app, listen=f"127.0.0.1:{port}", map={})
    thread = threading.Thread(target=listening.run)
    thread.start()
    try:
        yield
    finally:
        server.stop()
        listening.trigger.pull_trigger(listening.close)
        thread.join(20)
        listening.task_dispatcher.shutdown()


@contextlib.contextmanager
def wsgi(settings: Settings) -> Iterator[None]:
    from pydoudou.contrib.wsgi import Registered

    app = Registered(ok, settings=settings)
    with on_waitress(app, app.server, settings.port):
        yield


@contextlib.contextmanager
def flask(settings: Settings) -> Iterator[None]:
    from flask import Flask

    from pydoudou.contrib.flask import Doudou

    app = Flask("served")
    Doudou(app, settings=settings)
    with on_waitress(app, app.extensions["doudou"], settings.port):
        yield


def _django_is_configured() -> None:
    from django.conf import settings

    if not settings.configured:
        settings.configure(ROOT_URLCONF=(), ALLOWED_HOSTS=["*"])  # it answers 404, which is an answer


@contextlib.contextmanager
def django(settings: Settings) -> Iterator[None]:
    _django_is_configured()
    from pydoudou.contrib.django import get_wsgi_application

    app = get_wsgi_application(settings=settings)
    with on_waitress(app, app.server, settings.port):
        yield


@contextlib.contextmanager
def django_asgi(settings: Settings) -> Iterator[None]:
    _django_is_configured()
    from pydoudou.contrib.django import get_asgi_application

    with on_uvicorn(get_asgi_application(settings=settings), settings.port):
        yield


@contextlib.contextmanager
def celery(settings: Settings) -> Iterator[None]:
    from celery import signals

    from pydoudou.contrib.celery import connect

    connect(settings)
    signals.worker_process_init.send(sender=None)
    try:
        yield
    finally:
        signals.worker_process_shutdown.send(sender=None, pid=os.getpid(), exitcode=0)


SERVERS = {"asgi": ("uvicorn",), "starlette": ("uvicorn", "starlette"), "fastapi": ("uvicorn", "fastapi")}
SERVERS |= {"hypercorn": ("hypercorn",), "wsgi": ("waitress",), "flask": ("waitress", "flask"), "celery": ("celery",)}
SERVERS |= {"django": ("waitress", "django"), "django_asgi": ("uvicorn", "django")}


SHORT = [name for name in SERVERS if name != "celery"]
"""Its shared node ends a while after the last process that uses it."""


@pytest.fixture
def looking() -> Iterator[Registry]:
    """Somebody else, who looks."""
    with gossiping(**NEVER_SUSPECTED) as registry:
        yield registry


@pytest.mark.timeout(240)
@pytest.mark.parametrize("name", list(SERVERS) if EFFORT > 1 else SHORT)
def test_start_and_stop_again_and_again_keep_nothing(
    name: str, looking: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for library in SERVERS[name]:
        if importlib.util.find_spec(library) is None:
            pytest.skip(f"{library} is not installed")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    cycle: Callable[[Settings], contextlib.AbstractContextManager[None]] = globals()[name]
    variables = {"GDD_SERVICE_NAME": "orders", "GDD_MEM_SEED": gossip_address(looking), "GDD_DRAIN_TIME": "0"}

    always = free_port()

    def once() -> None:
        port = always if name == "celery" else free_port()  # its processes share a node while they have one setting
        with cycle(Settings.from_env(FAST_GOSSIP | NEVER_SUSPECTED | variables | {"GDD_PORT": str(port)})):
            eventually(lambda: gossip_nodes(looking) == 2, timeout=20)
            if name != "celery":
                eventually(lambda: [member.port for member in looking.members("orders")] == [port], timeout=20)
        eventually(lambda: not looking.members("orders"), timeout=20)

    def nobody() -> bool:
        return gossip_nodes(looking) == 1

    once()  # what is imported and made once
    eventually(nobody, timeout=40)  # the node that Celery's processes share waits for the next of them for a while
    before = Holdings(tmp_path)
    for _ in range(CYCLES):
        once()
    eventually(nobody, timeout=40)
    before.assert_nothing_new()


@pytest.mark.timeout(240)
def test_what_is_run_and_ended_again_and_again_leaves_no_process_and_no_file(looking: Registry, tmp_path: Path) -> None:
    own = {"GDD_MEM_SEED": gossip_address(looking), "GDD_DRAIN_TIME": "0"}
    own |= dict.fromkeys(("XDG_RUNTIME_DIR", "TMPDIR"), str(tmp_path))

    def once() -> None:
        port = str(free_port())
        program = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", "--directory", str(tmp_path), port]
        command = [sys.executable, "-m", "pydoudou", "run", "--service", "orders", "--port", port, "--", *program]
        environment = os.environ | FAST_GOSSIP | NEVER_SUSPECTED | own
        with process_of(command, env=environment, stderr=subprocess.DEVNULL) as process:
            eventually(lambda: [str(member.port) for member in looking.members("orders")] == [port], timeout=20)
            started = children(process.pid)
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 128 + signal.SIGTERM
        assert [child for child in started if Path(f"/proc/{child}").exists()] == []
        eventually(lambda: gossip_nodes(looking) == 1, timeout=20)

    once()
    before = Holdings(tmp_path)
    for _ in range(CYCLES):
        once()
    before.assert_nothing_new()


@pytest.mark.timeout(300)
@pytest.mark.skipif(EFFORT == 1, reason="twenty reloads take a minute: make long")
def test_workers_of_gunicorn_that_are_replaced_again_and_again_keep_nothing(tmp_path: Path) -> None:
    runtime = tmp_path / "runtime"
    runtime.mkdir()

    def of_the_master(process: int) -> tuple[int, list[str]]:
        return len(list(Path(f"/proc/{process}/fd").iterdir())), sorted(str(path) for path in runtime.rglob("*"))

    with served("gunicorn gthread", tmp_path, XDG_RUNTIME_DIR=str(runtime)) as running:
        master = running.process.pid
        eventually(lambda: len(running.workers()) == 4, timeout=20)
        nodes = gossip_nodes(running.looking)
        before = of_the_master(master)
        for _ in range(CYCLES):
            old = {*children(master)}
            running.process.send_signal(signal.SIGHUP)
            eventually(lambda old=old: len(now := {*running.workers()}) == 4 and not now & old, timeout=30)
        eventually(lambda: of_the_master(master) == before)
        eventually(lambda: gossip_nodes(running.looking) <= max(nodes, 6), timeout=30)
        assert running.ports() == sorted([running.port, running.stays])
