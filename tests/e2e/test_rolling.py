"""A rolling restart costs callers that use the integrations nothing. `python tests/e2e/rolling.py` makes four."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path


def test_while_both_instances_are_restarted_by_sigterm_no_call_through_the_integrations_fails() -> None:
    command = [sys.executable, Path(__file__).with_name("rolling.py"), "--restarts", "1"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=55)
    assert run.returncode == 0, run.stdout + run.stderr
    assert re.findall(r"^(\w+): [\d,]+ answered, 0 failed", run.stdout, re.MULTILINE)[:2] == ["requests", "httpx"]
