"""Hundreds of threads and tasks call while members come and go. `coming_and_going.py` as a program does it for 30 s."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path


def test_no_thread_and_no_task_meets_more_than_its_librarys_errors_while_members_come_and_go() -> None:
    command = [sys.executable, Path(__file__).with_name("coming_and_going.py"), "--seconds", "4"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=55)
    assert run.returncode == 0, run.stdout + run.stderr
    called = re.findall(r"^([\w-]+) +\d+ calls:.* 200 \d+", run.stdout, re.MULTILINE)
    assert called == ["aiohttp", "httpx", "httpx-async", "requests"], run.stdout
    assert "in flight at the end: 0\n" in run.stdout
