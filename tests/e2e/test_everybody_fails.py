"""When every member fails, callers do not make it worse. `everybody_fails.py` as a program takes a minute for each."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path


def test_real_members_that_all_fail_get_little_more_than_a_request_per_call_from_each_client() -> None:
    command = [sys.executable, Path(__file__).with_name("everybody_fails.py"), "--seconds", "2", "--rates", "200"]
    run = subprocess.run([*command, "--ways", "503", "reset"], capture_output=True, text=True, timeout=55)
    assert run.returncode == 0, run.stdout + run.stderr
    assert re.findall(r"^\w+ +200 +(\w+)", run.stdout, re.MULTILINE) == ["httpx", "requests", "aiohttp"] * 2
