"""gunicorn's and uvicorn's workers on one node: the registrar killed under load, every process told to end, a node that
was started before the fork, and what eight of them cost.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import httpx
import pytest
from support.calls_while_draining import called_again, calls_of_both_kinds, get
from support.effort import EFFORT
from support.gossip import FAST_GOSSIP, gossip_address, gossip_nodes, gossiping
from support.http_members import HttpMember
from support.processor_time import processor_seconds, times_waited
from support.registrars import SLOW_TO_SUSPECT, registrars_of, where_registrars_are
from support.server_processes import children, end_by_its_input, free_port, process_of
from support.waiting import eventually

from pydoudou import Registry

pytest.importorskip("gunicorn")
pytest.importorskip("uvicorn")

APPS = """
import json, os, time
from pydoudou.contrib.asgi import Registered
from pydoudou.discovery import default_registry

def told():
    registry = default_registry.current()
    status = registry.status()
    users = [member.port for member in registry.snapshot("users").members]
    said = {"pid": os.getpid(), "registrar": status.registrar, "own_node": status.own_node, "users": users}
    return json.dumps(said).encode()

def wsgi(environ, start_response):
    said = told()
    if environ["PATH_INFO"] == "/slow":  # while one worker takes its time, another one answers
        time.sleep(0.02)
    start_response("200 OK", [("Content-Length", str(len(said)))])
    return [said]

time.sleep(float(os.environ.get("APPS_TAKE", "0")))

async def plain(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": told()})

asgi = Registered(plain)
"""
HOOKS = "from pydoudou.contrib.gunicorn import post_worker_init, worker_exit\n"
GUNICORN = ("gunicorn", "--log-level", "warning", "apps:wsgi", "--bind")
_ASKING = 12


@attrs.frozen
class Served:
    """A service of several workers, seen from outside."""

    looking: Registry
    process: subprocess.Popen[str]
    port: int
    stays: int
    directory: Path

    @property
    def ports(self) -> list[int]:
        return [member.port for member in self.looking.members("orders")]

    def ask(self) -> dict[str, Any]:
        """What one of the workers says of itself."""
        said: dict[str, Any] = httpx.get(f"http://127.0.0.1:{self.port}/slow", timeout=10).json()
        return said


@contextlib.contextmanager
def served(folder: Path, command: list[str], **variables: str) -> Iterator[Served]:
    """The command runs with its port for the last argument; beside it are a second member, which stays, and `users`."""
    (folder / "apps.py").write_text(APPS)
    (folder / "gunicorn.conf.py").write_text(HOOKS)
    port = free_port()
    with contextlib.ExitStack() as stack:
        directory = stack.enter_context(where_registrars_are(folder))
        looking = stack.enter_context(gossiping(**SLOW_TO_SUSPECT))
        seed = {"GDD_MEM_SEED": gossip_address(looking)} | SLOW_TO_SUSPECT
        stays = stack.enter_context(HttpMember("stays")).member().port
        stack.enter_context(gossiping("orders", GDD_PORT=str(stays), **seed))
        stack.enter_context(gossiping("users", GDD_PORT="7001", **seed))
        own = {"GDD_SERVICE_NAME": "orders", "GDD_PORT": str(port), "PYTHONPATH": str(folder)}
        where = f"127.0.0.1:{port}" if "gunicorn" in command else str(port)
        process = stack.enter_context(
            process_of(
                [sys.executable, "-m", *command, where],
                env=os.environ | FAST_GOSSIP | seed | own | variables,
                cwd=folder,
                start_new_session=True,
            )
        )
        service = Served(looking, process, port, stays, directory)
        eventually(lambda: sorted(service.ports) == sorted([port, stays]), timeout=30)
        yield service


# -- the registrar is killed -------------------------------------------------------------------------------------------


def test_a_registrar_that_is_killed_is_replaced_and_no_worker_ever_sees_nobody(tmp_path: Path) -> None:
    answers: list[dict[str, Any]] = []
    over = threading.Event()

    def keep_asking(service: Served) -> None:
        while not over.is_set():
            answers.append(service.ask())

    with served(tmp_path, [*GUNICORN[:1], "--workers", "8", *GUNICORN[1:]]) as service:
        (first,) = registrars_of(service.directory)
        asking = [threading.Thread(target=keep_asking, args=(service,)) for _ in range(_ASKING)]
        with service.looking.watch("orders") as events:
            for thread in asking:
                thread.start()
            try:
                eventually(lambda: len({each["pid"] for each in answers[:]}) == 8, timeout=20)
                os.kill(first, signal.SIGKILL)
                eventually(lambda: [pid for pid in registrars_of(service.directory) if pid != first], timeout=20)
                (second,) = registrars_of(service.directory)
                before = len(answers)
                eventually(
                    lambda: len({each["pid"] for each in answers[before:] if each["registrar"] == second}) == 8,
                    timeout=20,
                )
            finally:
                over.set()
                for thread in asking:
                    thread.join()
            events.close()
            assert [event for event in events if not event.member.state.present] == []
        assert [each for each in answers if each["users"] != [7001]] == []
        assert sorted(service.ports) == sorted([service.port, service.stays])
        assert gossip_nodes(service.looking) == 4


# -- the only worker is replaced ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", [signal.SIGHUP, signal.SIGKILL][:EFFORT])
def test_the_only_worker_is_replaced_by_one_that_takes_its_time_and_the_service_stays(
    how: signal.Signals, tmp_path: Path
) -> None:
    slow = {"APPS_TAKE": "1.5"}
    with served(tmp_path, [*GUNICORN[:1], "--workers", "1", *GUNICORN[1:]], **slow) as service:
        registrars, before = registrars_of(service.directory), children(service.process.pid)
        with service.looking.watch("orders") as events:
            for pid in before if how is signal.SIGKILL else [service.process.pid]:
                os.kill(pid, how)
            eventually(lambda: {*children(service.process.pid)}.isdisjoint(before), timeout=20)
            assert service.ask()["pid"] not in before
            eventually(lambda: service.ask()["registrar"] == registrars[0])
            events.close()
            assert [event for event in events if not event.member.state.present] == []
        assert registrars_of(service.directory) == registrars
        assert sorted(service.ports) == sorted([service.port, service.stays])


def test_workers_that_are_reloaded_with_other_variables_register_those_and_the_service_stays(tmp_path: Path) -> None:
    """The old registrar has other settings. Until it ends with the old workers the new ones are nodes of their own."""

    def announced() -> set[float]:
        return {member.weight for member in service.looking.members("orders") if member.port == service.port}

    with served(tmp_path, [*GUNICORN[:1], "--workers", "2", *GUNICORN[1:]]) as service:
        (before,) = registrars_of(service.directory)
        workers = children(service.process.pid)
        eventually(lambda: announced() == {1.0})
        with service.looking.watch("orders") as events:
            (tmp_path / "gunicorn.conf.py").write_text(HOOKS + "raw_env = ['GDD_WEIGHT=7']\n")
            service.process.send_signal(signal.SIGHUP)
            eventually(lambda: {*children(service.process.pid)}.isdisjoint(workers), timeout=30)
            eventually(lambda: announced() == {7.0}, timeout=20)
            assert f"process {before} of this machine" in service.ask()["own_node"]
            if EFFORT > 1:  # they look again after 5 s, and after ten more
                eventually(lambda: [pid for pid in registrars_of(service.directory) if pid != before], timeout=40)
                eventually(lambda: {service.ask()["own_node"] for _ in range(8)} == {""}, timeout=40)
                eventually(lambda: gossip_nodes(service.looking) == 4, timeout=20)
                assert announced() == {7.0}
            events.close()
            assert [event for event in events if not event.member.state.present] == []
        assert sorted(service.ports) == sorted([service.port, service.stays])


# -- everybody is told to end ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command",
    [
        ["uvicorn", "apps:asgi", "--workers", "3", "--log-level", "warning", "--port"],
        [*GUNICORN[:1], "--workers", "3", "--worker-class", "gthread", *GUNICORN[1:]],
    ][:EFFORT],
    ids=["uvicorn", "gunicorn"][:EFFORT],
)
def test_when_every_process_of_a_service_is_told_to_end_it_drains_and_no_call_fails(
    command: list[str], tmp_path: Path
) -> None:
    """As systemd does it: the server, its workers, which the server tells once more, and the registrar."""
    with served(tmp_path, command) as service:
        eventually(lambda: gossip_nodes(service.looking) == 4)
        with calls_of_both_kinds(service.looking) as calls:
            called_again(calls)  # on connections that are kept, while nothing happens
            everybody = [service.process.pid, *children(service.process.pid), *registrars_of(service.directory)]
            for pid in everybody:
                os.kill(pid, signal.SIGTERM)
            eventually(lambda: service.ports == [service.stays])
            assert get("127.0.0.1", service.port) == 200
            service.process.wait(20)
            called_again(calls)  # when it is gone
        eventually(lambda: not registrars_of(service.directory))


def test_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    with served(tmp_path, [*GUNICORN[:1], "--workers", "2", *GUNICORN[1:]], GDD_DRAIN_TIME="60s") as service:
        service.process.send_signal(signal.SIGTERM)
        eventually(lambda: service.ports == [service.stays])
        time.sleep(1.1)  # two within a second count as one
        for worker in children(service.process.pid):
            os.kill(worker, signal.SIGTERM)
        assert service.process.wait(15) == 0


# -- a node that was started before the fork ---------------------------------------------------------------------------

PRELOADED = "import pydoudou\npydoudou.new_node()\n"


def preloaded(folder: Path, configuration: str) -> tuple[int, str]:
    """How gunicorn ends, or what its worker answers, whose application starts a node in the master."""
    (folder / "apps.py").write_text(PRELOADED + APPS)
    (folder / "gunicorn.conf.py").write_text(configuration)
    port = free_port()
    variables = {"GDD_SERVICE_NAME": "orders", "GDD_PORT": str(port), "PYTHONPATH": str(folder)}
    command = [sys.executable, "-m", *GUNICORN, f"127.0.0.1:{port}", "--preload"]
    with (
        where_registrars_are(folder),
        process_of(command, env=os.environ | FAST_GOSSIP | variables, cwd=folder, stderr=subprocess.PIPE) as process,
    ):
        if not configuration:
            eventually(lambda: _answers(port), timeout=20)
            process.terminate()
        said = process.communicate(timeout=30)[1]
    return process.returncode, said


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError):
        return get("127.0.0.1", port) == 500
    return False


def test_with_the_hooks_gunicorn_does_not_start_and_says_which_call_to_take_out(tmp_path: Path) -> None:
    code, said = preloaded(tmp_path, HOOKS)
    assert code == 3
    assert "pydoudou.new_node() was called in gunicorn's master, before it forked: take the call out" in said


def test_without_the_hooks_the_error_says_which_line_to_add(tmp_path: Path) -> None:
    _, said = preloaded(tmp_path, "")
    assert "add to gunicorn.conf.py" in said
    assert HOOKS.strip() in said


# -- what it costs -----------------------------------------------------------------------------------------------------

ONE = """
import sys
import pydoudou
from pydoudou.contrib.servers.registrar import shared
settings = pydoudou.Settings.from_env()
registry = pydoudou.Registry(settings if sys.argv[1] == "alone" else shared(settings))
if sys.argv[1] == "observed":  # as it is by metrics
    registry.add_observer(pydoudou.Observer())
with registry:
    print(flush=True)
    sys.stdin.read()
"""
_MEASURED_FOR = 6.0 if EFFORT == 1 else 20.0
_SETTLES_WITHIN = 3.0
_DEFAULT_GOSSIP = {name: "" for name in FAST_GOSSIP if name.endswith(("_INTERVAL", "_TIMEOUT", "_MULT"))}
"""As it is without settings: a node then does so little that whatever is done beside it shows."""


@contextlib.contextmanager
def running(count: int, how: str, looking: Registry, **gossip: str) -> Iterator[set[int]]:
    """So many processes that serve one port; their numbers."""
    variables = {"GDD_SERVICE_NAME": "orders", "GDD_MEM_SEED": gossip_address(looking), "GDD_PORT": "7000"}
    with contextlib.ExitStack() as stack:
        processes = [
            stack.enter_context(
                process_of(
                    [sys.executable, "-c", ONE, how],
                    env=os.environ | FAST_GOSSIP | variables | gossip,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                )
            )
            for _ in range(count)
        ]
        stack.callback(lambda: [end_by_its_input(process) for process in processes])
        for process in processes:
            assert process.stdout is not None
            process.stdout.readline()
        yield {process.pid for process in processes}


@pytest.mark.parametrize(
    ("gossip", "most"),
    [
        pytest.param({}, 2.0 if EFFORT == 1 else 1.3, id="fast gossip"),
        pytest.param(
            _DEFAULT_GOSSIP,
            1.8,
            id="default gossip",
            marks=pytest.mark.skipif(EFFORT == 1, reason="nearly nothing happens in a few seconds: make long"),
        ),
    ],
)
def test_eight_workers_cost_one_gossip_node(
    gossip: dict[str, str], most: float, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """At rest, the registrar together with what its workers do for it; their datagrams are those of one node."""

    def packets(looking: Registry) -> int:
        counted = looking.status().backends[0].driver.counters
        return counted["packets_received"] + counted["packets_sent"]

    with where_registrars_are(tmp_path), gossiping(**gossip) as of_one, gossiping(**gossip) as of_eight:
        with running(1, "alone", of_one, **gossip) as one, running(8, "shared", of_eight, **gossip) as workers:
            eight = {*workers, *registrars_of(tmp_path)}
            assert (len(one), len(eight)) == (1, 9)
            eventually(lambda: gossip_nodes(of_one) == gossip_nodes(of_eight) == 2)
            time.sleep(_SETTLES_WITHIN)  # what the start has left to do
            before = [packets(of_one), packets(of_eight), processor_seconds(one), processor_seconds(eight)]
            time.sleep(_MEASURED_FOR)
            after = [packets(of_one), packets(of_eight), processor_seconds(one), processor_seconds(eight)]
            packets_of_one, packets_of_eight, time_of_one, time_of_eight = (
                (now - then) / _MEASURED_FOR for then, now in zip(before, after, strict=True)
            )
    record_property(
        "figures",
        f"8 workers with a registrar, beside one process{', default gossip' if gossip else ''}: "
        f"{packets_of_eight:.1f} and {packets_of_one:.1f} datagrams/s, "
        f"{100 * time_of_eight:.3f} and {100 * time_of_one:.3f} % of a processor, "
        f"{time_of_eight / time_of_one:.2f} times as much",
    )
    assert packets_of_eight < 1.1 * packets_of_one + 1
    assert time_of_eight < most * time_of_one


def test_workers_at_rest_sleep_although_each_is_observed(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """What one looks at every five seconds, and what is counted, which is told as often for a minute."""
    with where_registrars_are(tmp_path), gossiping() as looking, running(3, "observed", looking) as workers:
        eventually(lambda: gossip_nodes(looking) == 2)
        time.sleep(_SETTLES_WITHIN)
        before = times_waited(workers)
        time.sleep(_MEASURED_FOR)
        often = (times_waited(workers) - before) / _MEASURED_FOR / len(workers)
    record_property("figures", f"a worker at rest, observed: wakes up {often:.2f} times in a second")
    assert often < 0.7
