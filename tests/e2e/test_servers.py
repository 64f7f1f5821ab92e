"""Every server that a service may run on: it is one member while it answers, and neither its end nor a worker that is
killed costs a caller anything. What the signal does to each by itself differs; that nobody calls any more when it comes
does not.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from support.calls_while_draining import CalledEverySoOften, called_again, calls_of_both_kinds, get
from support.effort import EFFORT
from support.served import SETUPS, Served, served
from support.waiting import eventually

from pydoudou import RoundRobin
from pydoudou.contrib.httpx import DiscoveryTransport

IN_EVERY_RUN = [
    "uvicorn, FastAPI",
    "uvicorn --workers",
    "gunicorn gthread, preloaded",
    "gunicorn, Flask",
    "waitress, Django",
    "hypercorn in process",
    "granian under run",
    "Go under run",
]
"""A third, one of each way to be registered and of each framework; `make long` has all."""


def replace_a_worker(running: Served) -> None:
    """Kill one under calls that may be repeated, and wait until another one answers in its place."""
    transport = DiscoveryTransport(balancer=lambda name: RoundRobin(name, running.looking))
    workers = 4 if "gunicorn" in running.setup.command else 2
    eventually(lambda: running.all_answer(workers), timeout=20)
    before = running.workers()
    with httpx.Client(transport=transport, timeout=5.0) as client:
        with CalledEverySoOften(lambda: client.get("http://orders/").status_code) as calls:
            os.kill(before[0], signal.SIGKILL)
            eventually(lambda: before[0] not in running.workers())
            eventually(lambda: running.all_answer(workers), timeout=20)
        calls.assert_only_cut_off(1)
        assert calls.answered


@pytest.mark.parametrize("name", list(SETUPS) if EFFORT > 1 else IN_EVERY_RUN)
def test_a_server_is_one_member_while_it_answers_and_nothing_that_happens_to_it_costs_a_call(
    name: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    with served(name, tmp_path) as running:
        if running.setup.replaces:
            replace_a_worker(running)
        assert running.ports() == sorted([running.port, running.stays])
        with calls_of_both_kinds(running.looking) as (retrying, picking):
            called_again((retrying, picking))  # on connections that are kept, while nothing happens
            running.process.send_signal(signal.SIGTERM)
            eventually(lambda: running.ports() == [running.stays])
            assert get("127.0.0.1", running.port) == 200
            assert running.process.wait(15) in (0, -signal.SIGTERM, 128 + signal.SIGTERM)
            called_again((retrying, picking))  # when it is gone
        assert running.ports() == [running.stays]
        assert running.answered_first == [True]
    made = [
        f"{each.answered} {how} ({each.per_second:.0f}/s)"
        for each, how in ((retrying, "GET and POST"), (picking, "by a pick without another try"))
    ]
    record_property("figures", f"calls while {name} ends: {', '.join(made)}, none failed")


def test_an_answer_on_a_connection_that_is_kept_ends_it_once_gunicorn_drains(tmp_path: Path) -> None:
    with served("gunicorn gthread", tmp_path) as running:
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", running.port, timeout=5)) as connection:

            def ends_it() -> bool:
                connection.request("GET", "/")
                answer = connection.getresponse()
                answer.read()
                return answer.getheader("Connection") == "close"

            assert not ends_it()
            running.process.send_signal(signal.SIGTERM)
            eventually(ends_it)


@pytest.mark.parametrize("name", ["hypercorn in process", "waitress, Flask"])
def test_a_second_sigterm_ends_a_server_at_once(name: str, tmp_path: Path) -> None:
    with served(name, tmp_path, GDD_DRAIN_TIME="600s") as running:
        running.process.send_signal(signal.SIGTERM)
        eventually(lambda: running.ports() == [running.stays])
        assert running.process.poll() is None
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(10) in (0, -signal.SIGTERM)
