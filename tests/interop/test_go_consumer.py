"""A Go program that picks members by turns, ignores their weights and does not try again, as go-doudou's round robin:
nothing that it calls fails while one of them is told to end.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from support.effort import EFFORT
from support.go_peer import GoPeer
from support.served import served
from support.waiting import eventually

EVERY = "5ms"


@pytest.mark.parametrize(
    "server", ["uvicorn, FastAPI", "gunicorn gthread", "hypercorn in process", "Go under run"][: 4 if EFFORT > 1 else 1]
)
def test_no_call_of_a_go_program_fails_while_a_member_leaves(
    server: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    with served(server, tmp_path, GDD_MEM_DIALECT="hashicorp") as running:
        goes, stays = (f"127.0.0.1:{port}" for port in (running.port, running.stays))
        with GoPeer("consumer", "-join", running.seed) as consumer:
            eventually(lambda: len(consumer.members()) > 3, timeout=10)
            consumer.command(f"call orders {EVERY}")
            eventually(lambda: min(consumer.command("calls")["answered"].get(each, 0) for each in (goes, stays)) > 50)
            running.process.send_signal(signal.SIGTERM)
            eventually(lambda: consumer.command("calls")["members"] == [stays])
            by_then = consumer.command("calls")["answered"][stays]
            assert running.process.wait(15) in (0, -signal.SIGTERM, 128 + signal.SIGTERM)
            eventually(lambda: consumer.command("calls")["answered"][stays] > by_then + 50)
            made = consumer.command("endcalls")
    record_property(
        "figures", f"Go calls while {server} ends: {sum(made['answered'].values())}, failed {made['failed']}"
    )
    assert made["failed"] == {}
