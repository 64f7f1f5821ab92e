"""Every server that a service may run on, as a process, seen from outside: by somebody who looks, beside a member that
stays.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from pydoudou import MemberEvent, Registry

from .calls_while_draining import get
from .gossip import FAST_GOSSIP, NEVER_SUSPECTED, gossip_address, gossiping
from .http_members import HttpMember
from .peers import locate
from .server_processes import children, free_port, process_of
from .waiting import eventually
from .watched import watched

__all__ = ["SETUPS", "Served", "Setup", "command_of", "served", "written"]

_PLAIN = """
import os, pathlib, time

STATUS = int(os.environ.get("STATUS", "200"))

def mark():
    pathlib.Path(f"answered-{os.getpid()}").touch()

def wsgi(environ, start_response):
    mark()
    start_response(f"{STATUS} Said", [("Content-Length", "2")])
    return [b"ok"]

async def asgi(scope, receive, send):
    if scope["type"] == "http":
        mark()
        await send({"type": "http.response.start", "status": STATUS, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})
    elif scope["type"] == "lifespan":
        for _ in range(2):
            message = await receive()
            time.sleep(float(os.environ.get("STARTUP", "0")))
            await send({"type": message["type"] + ".complete"})
"""
_MODULES = {
    "plain": _PLAIN,
    "wrapped": """
import plain
from pydoudou.contrib import asgi, wsgi

asgi = asgi.Registered(plain.asgi)
def wsgi(wrap=wsgi.Registered):
    return wrap(plain.wsgi)
""",
    "on_fastapi": """
from fastapi import FastAPI
from plain import mark
from pydoudou.contrib.fastapi import lifespan

app = FastAPI(lifespan=lifespan())

@app.api_route("/", methods=["GET", "POST"])
async def ok():
    mark()
    return "ok"
""",
    "on_flask": """
from flask import Flask
from plain import STATUS, mark
from pydoudou.contrib.flask import Doudou

app = Flask(__name__)

@app.route("/", methods=["GET", "POST"])
def ok():
    mark()
    return "ok", STATUS

Doudou(app)
""",
    "on_django": """
from django.conf import settings
from django.http import HttpResponse
from django.urls import path
from plain import mark

def ok(request):
    mark()
    return HttpResponse("ok")

urlpatterns = [path("", ok)]
settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"])
""",
    "django_wsgi": """
import on_django
from pydoudou.contrib.django import get_wsgi_application

application = get_wsgi_application()
""",
    "django_asgi": """
import on_django
from pydoudou.contrib.django import get_asgi_application

application = get_asgi_application()
""",
    "on_hypercorn": """
import sys
import anyio
import plain
from hypercorn.config import Config
from pydoudou.contrib.hypercorn import serve

if __name__ == "__main__":
    config = Config.from_mapping(bind=["127.0.0.1:" + sys.argv[1]], loglevel="warning")
    anyio.run(serve, plain.asgi, config, backend=sys.argv[2])
""",
}
_PAGE = (Path(__file__).parents[2] / "docs" / "deploy" / "servers.md").read_text("utf-8")
(_HOOKS,) = re.findall(r"^```python\n(from pydoudou\.contrib\.gunicorn .*?)^```", _PAGE, re.MULTILINE | re.DOTALL)


@attrs.frozen
class Setup:
    """A way to serve.

    Attributes:
        command: what is run; the first word is a program of this environment, or ``peer`` for that of a Go peer.
        needs: what has to be installed besides.
        hooks: gunicorn registers it, by the lines of the manual.
        run: it stands behind ``pydoudou run``.
        replaces: a worker that is killed is replaced.
    """

    command: str
    needs: tuple[str, ...] = ()
    hooks: bool = False
    run: bool = False
    replaces: bool = False


_GUNICORN = "gunicorn --workers 4 --bind 127.0.0.1:{port} --log-level warning"
_UVICORN = "uvicorn --host 127.0.0.1 --port {port} --log-level warning"
_GRANIAN = "granian --workers 2 --interface asgi --host 127.0.0.1 --port {port} --log-level warning"


def _gunicorn(options: str, *needs: str, run: bool = False) -> Setup:
    return Setup(f"{_GUNICORN} {options}", needs=needs, hooks=not run, run=run, replaces=True)


SETUPS = {
    "uvicorn": Setup(f"{_UVICORN} wrapped:asgi"),
    "uvicorn, FastAPI": Setup(f"{_UVICORN} on_fastapi:app", needs=("fastapi",)),
    "uvicorn, Django": Setup(f"{_UVICORN} django_asgi:application", needs=("django",)),
    "uvicorn --workers": Setup(f"{_UVICORN} --workers 2 wrapped:asgi", replaces=True),
    "uvicorn --workers under run": Setup(f"{_UVICORN} --workers 2 plain:asgi", run=True, replaces=True),
    "gunicorn sync": _gunicorn("plain:wsgi"),
    "gunicorn sync, preloaded": _gunicorn("--preload plain:wsgi"),
    "gunicorn gthread": _gunicorn("--worker-class gthread --threads 4 plain:wsgi"),
    "gunicorn gthread, preloaded": _gunicorn("--worker-class gthread --threads 4 --preload plain:wsgi"),
    "gunicorn gevent": _gunicorn("--worker-class gevent plain:wsgi", "gevent"),
    "gunicorn gevent, preloaded": _gunicorn("--worker-class gevent --preload plain:wsgi", "gevent"),
    "gunicorn asgi": _gunicorn("--worker-class asgi plain:asgi"),
    "gunicorn, Flask": _gunicorn("on_flask:app", "flask"),
    "gunicorn, Flask, preloaded": _gunicorn("--worker-class gthread --threads 4 --preload on_flask:app", "flask"),
    "gunicorn, Django": _gunicorn("--worker-class gthread --threads 4 django_wsgi:application", "django"),
    "gunicorn gthread, preloaded, under run": _gunicorn(
        "--worker-class gthread --threads 4 --preload plain:wsgi", run=True
    ),
    "gunicorn, Flask, under run": _gunicorn("on_flask:app", "flask", run=True),
    "waitress, Flask": Setup("waitress-serve --listen 127.0.0.1:{port} on_flask:app", needs=("flask", "waitress")),
    "waitress, Django": Setup(
        "waitress-serve --listen 127.0.0.1:{port} django_wsgi:application", needs=("django", "waitress")
    ),
    "waitress": Setup("waitress-serve --listen 127.0.0.1:{port} --call wrapped:wsgi", needs=("waitress",)),
    "flask run": Setup("flask --app on_flask run --port {port}", needs=("flask",)),
    "hypercorn under run": Setup(
        "hypercorn --workers 2 --bind 127.0.0.1:{port} --log-level warning plain:asgi", needs=("hypercorn",), run=True
    ),
    "hypercorn in process": Setup("python on_hypercorn.py {port} asyncio", needs=("hypercorn",)),
    "hypercorn in process, trio": Setup("python on_hypercorn.py {port} trio", needs=("hypercorn", "trio")),
    "granian under run": Setup(f"{_GRANIAN} plain:asgi", needs=("granian",), run=True),
    "Go under run": Setup("peer -address 127.0.0.1:{port} -answered answered", run=True),
}


@attrs.frozen
class Served:
    """What runs.

    Attributes:
        looking: who looks.
        seed: where others join.
        process: the server, or ``pydoudou run`` of it.
        port: the server's.
        stays: the port of the second member.
        folder: where it runs.
        answered_first: whether the server had answered when it came into the view; nothing before it did.
    """

    setup: Setup
    looking: Registry
    seed: str
    process: subprocess.Popen[bytes]
    port: int
    stays: int
    folder: Path
    answered_first: list[bool]

    def ports(self) -> list[int]:
        """Of the members in the view, in order."""
        return sorted(member.port for member in self.looking.members("orders"))

    def workers(self) -> list[int]:
        """The processes that answer, of a server that replaces them."""
        parent = self.process.pid
        if self.setup.run:
            (parent,) = children(parent)
        return [child for child in children(parent) if not _tracks_resources(child)]

    def all_answer(self, workers: int) -> bool:
        """Whether there are so many, and each of them has answered; asks once more."""
        get("127.0.0.1", self.port)
        present = self.workers()
        return len(present) == workers and all((self.folder / f"answered-{worker}").exists() for worker in present)


def _tracks_resources(process: int) -> bool:
    """Whether it is multiprocessing's own."""
    try:
        return b"resource_tracker" in Path(f"/proc/{process}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return True


@contextlib.contextmanager
def served(name: str, folder: Path, **variables: str) -> Iterator[Served]:
    """The server of this name, registered; killed at the end if it still runs. `variables` are for all three."""
    setup = written(name, folder)
    # What is killed is to be seen by the others; where nothing is, a busy machine is to make nobody suspect.
    gossip = variables | (FAST_GOSSIP if setup.replaces and not setup.run else FAST_GOSSIP | NEVER_SUSPECTED)
    port = free_port()
    with contextlib.ExitStack() as stack:
        looking = stack.enter_context(gossiping(**gossip))
        seed = gossip_address(looking)
        stays = stack.enter_context(HttpMember("stays")).member().port
        stack.enter_context(gossiping("orders", **gossip, GDD_MEM_SEED=seed, GDD_PORT=str(stays)))
        answered_first = stack.enter_context(_watched(looking, port, folder))
        own = {"GDD_MEM_SEED": seed, "PYTHONPATH": str(folder)}
        if not setup.run:
            own |= {"GDD_SERVICE_NAME": "orders", "GDD_PORT": str(port)}
        command = command_of(setup, port, port)
        process = stack.enter_context(process_of(command, env=os.environ | gossip | own, cwd=folder))
        running = Served(setup, looking, seed, process, port, stays, folder, answered_first)
        eventually(lambda: running.ports() == sorted([port, stays]), timeout=25)
        assert get("127.0.0.1", port) == 200
        yield running


def written(name: str, folder: Path) -> Setup:
    """The set-up of this name, with its programs in the folder. Skips the test where something is not installed."""
    setup = SETUPS[name]
    for library in setup.needs:
        if importlib.util.find_spec(library) is None:
            pytest.skip(f"{library} is not installed")
    for module, text in _MODULES.items():
        (folder / f"{module}.py").write_text(text)
    if setup.hooks:
        (folder / "gunicorn.conf.py").write_text(_HOOKS)
    return setup


def command_of(setup: Setup, port: int, registered: int) -> list[str]:
    """What starts it on a port; behind ``pydoudou run`` with the port that is registered."""
    program, *arguments = setup.command.format(port=port).split()
    binary = locate("http-go") / "peer" if program == "peer" else Path(sys.executable).with_name(program)
    before = [sys.executable, "-m", "pydoudou", "run", "--service", "orders", "--port", str(registered), "--"]
    return [*(before if setup.run else []), str(binary), *arguments]


@contextlib.contextmanager
def _watched(looking: Registry, port: int, folder: Path) -> Iterator[list[bool]]:
    """Whether somebody had answered when the port came into the view, each time that it did."""
    seen: list[bool] = []
    present = False

    def told(event: MemberEvent) -> None:
        nonlocal present
        if event.member.port == port:
            came, present = event.member.state.present and not present, event.member.state.present
            if came:
                seen.append(any(folder.glob("answered*")))

    with watched(looking, "orders", told):
        yield seen
