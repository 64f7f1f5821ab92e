"""Flask, Django and Celery where they serve nothing: commands, reloaders and workers register nobody."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from support.effort import EFFORT
from support.gossip import FAST_GOSSIP, NEVER_SUSPECTED, gossip_address, gossip_nodes, gossiping
from support.registrars import where_registrars_are
from support.server_processes import children, free_port, process_of
from support.waiting import eventually

from pydoudou import Registry

FLASK = """
import time
from flask import Flask
from pydoudou.contrib.flask import Doudou

app = Flask(__name__)
app.add_url_rule("/", view_func=lambda: "ok")
Doudou(app)

@app.cli.command("migrate")
def migrate():
    print("command", flush=True)
    input()
"""
MANAGE = """
import sys
import django
from django.conf import settings
from django.core.management import BaseCommand, execute_from_command_line
from django.http import HttpResponse
from django.urls import path

urlpatterns = [path("", lambda request: HttpResponse("ok"))]
settings.configure(
    ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], DEBUG=True, WSGI_APPLICATION="served_here.application"
)

class Migrate(BaseCommand):
    requires_system_checks = "__all__"

    def handle(self, **options):
        print("command", flush=True)
        input()

if __name__ == "__main__":
    if sys.argv[1] == "migrate":
        django.setup()
        Migrate().run_from_argv(sys.argv)
    else:
        execute_from_command_line(sys.argv)
"""
WSGI_PY = "from pydoudou.contrib.django import get_wsgi_application\napplication = get_wsgi_application()\n"


@pytest.fixture
def looking() -> Iterator[Registry]:
    """Somebody else, who looks."""
    with gossiping(**NEVER_SUSPECTED) as registry:
        yield registry


def ports(registry: Registry) -> list[int]:
    return [member.port for member in registry.members("orders")]


@contextlib.contextmanager
def process(
    folder: Path, command: list[str], looking: Registry, port: int, **variables: str
) -> Iterator[subprocess.Popen[str]]:
    """A program whose service is ``orders`` on `port`; at the end it is killed, with those that it has started."""
    (folder / "served_flask.py").write_text(FLASK)
    (folder / "manage.py").write_text(MANAGE)
    (folder / "served_here.py").write_text(WSGI_PY)
    own = {"GDD_SERVICE_NAME": "orders", "GDD_PORT": str(port), "GDD_MEM_SEED": gossip_address(looking)}
    with process_of(
        [sys.executable, *command],
        cwd=folder,
        env=os.environ | FAST_GOSSIP | NEVER_SUSPECTED | own | variables,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as running:
        yield running


COMMANDS = {"flask": ["-m", "flask", "--app", "served_flask", "migrate"], "django": ["manage.py", "migrate"]}
DEVELOPMENT = {
    "flask": ["-m", "flask", "--app", "served_flask", "run", "--debug", "--port"],
    "django": ["manage.py", "runserver"],
}


@pytest.mark.parametrize("framework", list(COMMANDS))
def test_a_command_registers_nothing_and_is_no_node(framework: str, looking: Registry, tmp_path: Path) -> None:
    pytest.importorskip(framework)
    port = free_port()
    with process(tmp_path, COMMANDS[framework], looking, port) as command:
        assert command.stdin is not None
        assert command.stdout is not None
        assert command.stdout.readline() == "command\n"
        threads = Path(f"/proc/{command.pid}/task")
        assert len(list(threads.iterdir())) == 1
        assert (ports(looking), gossip_nodes(looking)) == ([], 1)
        command.stdin.write("\n")
        command.stdin.close()
        assert command.wait(20) == 0


@pytest.mark.parametrize("framework", list(DEVELOPMENT))
def test_of_a_development_server_that_reloads_only_the_process_that_serves_is_registered(
    framework: str, looking: Registry, tmp_path: Path
) -> None:
    pytest.importorskip(framework)
    port = free_port()
    with process(tmp_path, [*DEVELOPMENT[framework], str(port)], looking, port, GDD_DRAIN_TIME="0") as parent:
        eventually(lambda: ports(looking) == [port], timeout=30)
        assert gossip_nodes(looking) == 2
        (serves,) = children(parent.pid)
        os.kill(serves, signal.SIGTERM)  # the parent would kill it, and ask nobody
        assert parent.wait(20) == 0
        eventually(lambda: (ports(looking), gossip_nodes(looking)) == ([], 1), timeout=20)


RELOADED = """
from pydoudou.contrib.asgi import Registered

async def answers(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"before"})

app = Registered(answers)
"""


def test_uvicorn_that_reloads_is_one_member_before_a_change_and_after_it(looking: Registry, tmp_path: Path) -> None:
    pytest.importorskip("uvicorn")
    port, program = free_port(), tmp_path / "reloaded.py"
    program.write_text(RELOADED)
    command = ["-m", "uvicorn", "reloaded:app", "--reload", "--port", str(port), "--log-level", "warning"]

    def answer() -> str:
        with contextlib.suppress(httpx.HTTPError):
            return httpx.get(f"http://127.0.0.1:{port}/", timeout=5).text
        return ""

    with (
        where_registrars_are(tmp_path),
        process(tmp_path, command, looking, port, GDD_DRAIN_TIME="0") as parent,
    ):
        eventually(lambda: ports(looking) == [port], timeout=30)
        assert answer() == "before"
        program.write_text(RELOADED.replace("before", "after"))
        eventually(lambda: answer() == "after", timeout=30)
        eventually(lambda: (ports(looking), gossip_nodes(looking)) == ([port], 2), timeout=20)
        parent.send_signal(signal.SIGTERM)
        parent.wait(20)
        eventually(lambda: (ports(looking), gossip_nodes(looking)) == ([], 1), timeout=20)


CELERY = """
import os
from celery import Celery
from pydoudou import LeastLatency
from pydoudou.contrib.celery import connect
from pydoudou.discovery import default_registry

data = {{"data_folder_in": "queue", "data_folder_out": "queue", "control_folder": "control"}}
app = Celery("tasks", broker="filesystem://", backend="file://{folder}/results", broker_transport_options=data)
app.conf.broker_connection_retry_on_startup = True
connect()

@app.task
def found():
    orders = LeastLatency("orders")
    orders.wait(10)
    return orders.pick().port, default_registry.current().settings.register, os.getpid()
"""
POOLS = ["prefork", "threads", "solo", "gevent"]


@pytest.mark.parametrize("pool", POOLS if EFFORT > 1 else ["prefork"])
def test_tasks_of_celery_find_services_and_their_processes_look_and_register_nothing(
    pool: str, looking: Registry, tmp_path: Path
) -> None:
    pytest.importorskip("celery")
    (tmp_path / "tasks.py").write_text(CELERY.format(folder=tmp_path))
    for folder in ("queue", "control", "results"):
        (tmp_path / folder).mkdir()
    seed = gossip_address(looking)
    with gossiping("orders", GDD_MEM_SEED=seed, **NEVER_SUSPECTED) as orders:
        worker = ["-m", "celery", "-A", "tasks", "worker", "--pool", pool, "--concurrency", "2", "--without-mingle"]
        variables = {"GDD_SERVICE_NAME": "tasks", "GDD_MEM_SEED": seed}
        with process(tmp_path, worker, looking, free_port(), **variables) as running:
            eventually(lambda: gossip_nodes(looking) == 3, timeout=30)
            ask = "import tasks, json; print(json.dumps(tasks.found.delay().get(timeout=20)))"
            asked = subprocess.run(
                [sys.executable, "-c", ask], cwd=tmp_path, capture_output=True, text=True, timeout=50
            )
            assert asked.returncode == 0, asked.stderr
            found, registers, task = json.loads(asked.stdout)
            assert (found, registers) == (orders.settings.port, False)
            assert (task == running.pid) == (pool != "prefork")
            assert looking.members("tasks") == ()
            running.send_signal(signal.SIGTERM)
            assert running.wait(20) == 0
            eventually(lambda: gossip_nodes(looking) == 2, timeout=20)


@pytest.mark.skipif(importlib.util.find_spec("celery") is None, reason="celery is not installed")
def test_the_pages_tasks_are_clients(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "deploy" / "servers.md").read_text("utf-8")
    (block,) = re.findall(r"^```python\n(from celery .*?)^```", page, re.MULTILINE | re.DOTALL)
    look = "from celery import signals\nprint(bool(signals.worker_process_init.receivers))"
    done = subprocess.run([sys.executable, "-c", block + look], capture_output=True, text=True, timeout=50)
    assert (done.stdout, done.stderr) == ("True\n", "")
