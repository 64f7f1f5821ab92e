"""A rolling restart costs callers nothing. `python tests/e2e/rolling.py` makes four."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize(
    ("options", "unharmed"),
    [
        pytest.param((), ["requests", "httpx", "aiohttp", "pick and call"], id="behind run"),
        pytest.param(("--bare",), ["requests", "httpx", "aiohttp"], id="with new_node alone"),
    ],
)
def test_while_all_instances_are_restarted_by_sigterm_no_call_fails(
    options: tuple[str, ...], unharmed: list[str]
) -> None:
    command = [sys.executable, Path(__file__).with_name("rolling.py"), "--restarts", "1", *options]
    run = subprocess.run(command, capture_output=True, text=True, timeout=55)
    assert run.returncode == 0, run.stdout + run.stderr
    found = re.findall(r"^([\w ]+): [\d,]+ answered at \d+/s, 0 failed", run.stdout, re.MULTILINE)
    assert set(unharmed) <= set(found)
