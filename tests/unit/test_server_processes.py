"""Tests start processes with this; whatever those start has to end with them, or it disturbs the tests that follow."""

from __future__ import annotations

import contextlib
import signal
import subprocess
from pathlib import Path

import pytest
from support.server_processes import children, end_by_its_input, process_of
from support.waiting import eventually

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/task").is_dir(), reason="who started whom is read from Linux's /proc"
)
NESTED = "sh -c 'sleep 60 & wait' & setsid sh -c 'sleep 60 & wait' & wait"
"""Starts two shells, the second in a group of its own; each starts a sleep."""


def runs(process: int) -> bool:
    status = Path(f"/proc/{process}/status")
    try:
        return "State:\tZ" not in status.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def all_started_by(process: int) -> list[int]:
    return [each for child in children(process) for each in (child, *all_started_by(child))]


def test_with_a_process_all_that_it_started_ends_whatever_happens() -> None:
    with contextlib.suppress(ZeroDivisionError), process_of(["sh", "-c", NESTED]) as process:
        eventually(lambda: len(all_started_by(process.pid)) == 4)
        started = all_started_by(process.pid)
        _ = 1 / 0
    assert process.returncode == -signal.SIGKILL
    eventually(lambda: not [each for each in started if runs(each)])


@pytest.mark.parametrize(
    ("program", "ends_with"), [("cat; echo over >&2", 0), ("trap '' HUP; cat; sleep 60", -signal.SIGKILL)]
)
def test_a_process_that_ends_with_its_input_is_asked_first(program: str, ends_with: int) -> None:
    pipes = dict.fromkeys(("stdin", "stderr"), subprocess.PIPE)
    with process_of(["sh", "-c", program], **pipes) as process:
        said = end_by_its_input(process, within=5 if ends_with == 0 else 0.2)
        assert (process.returncode, said) == (ends_with, "" if ends_with else "over\n")
