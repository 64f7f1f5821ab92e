"""Whether a registrar still does its work, looked at by one of its workers."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from support.virtual_clock import VirtualClock
from support.waiting import eventually

from pydoudou.contrib.servers.registrar.guard import Guard
from pydoudou.contrib.servers.registrar.place import Place
from pydoudou.contrib.servers.registrar.processes import Process, ran_for
from pydoudou.contrib.servers.registrar.timings import Timings


class Wire:
    """Takes what is sent, and answers nothing."""

    def __init__(self) -> None:
        self.sent: list[str] = []

    def send(self, message: Mapping[str, Any]) -> None:
        self.sent.append(message["kind"])


def test_one_that_works_is_not_asked_and_one_that_was_stopped_is_at_the_first_look_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    clock, wire, timings = VirtualClock(), Wire(), Timings()
    loop = clock.new_event_loop()

    async def watch() -> None:
        guard = Guard(works.pid, Place("orders", 7000), wire, timings)  # type: ignore[arg-type]
        guard.choose()
        await guard.watch()

    def has_run_again() -> None:
        before = ran_for(works.pid)
        assert before is not None
        eventually(lambda: (ran_for(works.pid) or 0.0) > before)

    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as works:
        watching = asyncio.run_coroutine_threadsafe(watch(), loop)
        thread = threading.Thread(target=loop.run_forever)
        thread.start()
        try:
            for _ in range(3):
                has_run_again()
                clock.advance(timings.look_every)
            assert wire.sent == []
            has_run_again()
            os.kill(works.pid, signal.SIGSTOP)
            eventually(lambda: (process := Process.of(works.pid)) is not None and process.stopped)
            clock.advance(timings.look_every)
            assert wire.sent == ["ping"]
        finally:
            works.kill()
            watching.cancel()
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()
