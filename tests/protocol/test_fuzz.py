"""A short run of the fuzzer, the same each time; `make fuzz` feeds two million inputs from a new seed."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

_FUZZER = Path(__file__).with_name("fuzz.py")


def test_thirty_thousand_broken_inputs_do_no_harm() -> None:
    # A process of its own: what other tests left in memory is not the protocol's.
    command = [sys.executable, _FUZZER, "--inputs", "30000", "--seconds", "30", "--seed", "1"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=55)
    assert run.returncode == 0, run.stdout + run.stderr
    fed = re.search(r"^([\d,]+) inputs", run.stdout, re.MULTILINE)
    assert fed is not None, run.stdout
    assert int(fed[1].replace(",", "")) > 3_000
    reached = run.stdout.partition("reported: ")[2]
    for event in ("Problem", "UserMessage", "NodeJoined", "NodeLeft", "RemoteState"):
        assert f"{event} " in reached
