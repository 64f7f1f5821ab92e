"""What the kernel tells of a registrar, and that nobody else is taken for it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.server_processes import process_of
from support.waiting import eventually

from pydoudou.contrib.servers.registrar.place import Place
from pydoudou.contrib.servers.registrar.processes import Process, ended, kill_holder, ran_for

pytestmark = pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="Linux")


@pytest.fixture
def lock(tmp_path: Path) -> Iterator[int]:
    descriptor = os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT)
    yield descriptor
    os.close(descriptor)


def test_who_has_the_lock_is_killed_and_nobody_else(lock: int, tmp_path: Path) -> None:
    waits = [sys.executable, "-c", "input()"]
    with (
        process_of(waits, stdin=subprocess.PIPE, pass_fds=[lock]) as holder,
        process_of(waits, stdin=subprocess.PIPE) as other,
    ):
        assert not kill_holder(other.pid, tmp_path / "lock")
        assert not kill_holder(holder.pid, tmp_path / "another lock")
        assert kill_holder(holder.pid, tmp_path / "lock")
        assert holder.wait(10) == -signal.SIGKILL
        assert other.poll() is None
    assert not kill_holder(holder.pid, tmp_path / "lock")


def test_a_process_that_works_has_run_and_one_that_has_ended_tells_nothing() -> None:
    with process_of([sys.executable, "-c", "while True: pass"]) as works:
        before = ran_for(works.pid)
        assert before is not None
        eventually(lambda: (now := ran_for(works.pid)) is not None and now > before)
        works.send_signal(signal.SIGSTOP)
        eventually(lambda: (process := Process.of(works.pid)) is not None and process.stopped)
        stopped = ran_for(works.pid)
        assert ran_for(works.pid) == stopped
        works.kill()
    assert ran_for(works.pid) is None
    assert ended(works.pid) is None


@pytest.mark.parametrize(
    ("written", "pid"),
    [
        ("process 17 of this machine, the registrar of orders, port 7000", 17),
        ("process 17, somebody else", None),
        ("", None),
        ("process 12345678901234567890 of this machine, the registrar of orders, port 7000", None),
    ],
)
def test_the_lock_says_whose_it_is(
    written: str, pid: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    place = Place("orders", 7000)
    place.lock.write_text(written)
    assert place.holder_pid() == pid
