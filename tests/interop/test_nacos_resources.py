"""What starts and stops leave behind: nothing that one has not left already."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import pytest
from support.effort import EFFORT
from support.nacos import nacos_variables
from support.nacos_server import NacosServer, fresh_service

CYCLES = 20 if EFFORT > 1 else 5

PROGRAM = Path(__file__)


def census() -> dict[str, object]:
    """What this process holds: threads, asyncio tasks and loops, open files by kind, log handlers, temporary files."""
    gc.collect()
    kinds: Counter[str] = Counter()
    for descriptor in Path("/proc/self/fd").iterdir():
        try:
            kinds[str(descriptor.readlink()).partition(":")[0]] += 1
        except OSError:
            continue  # the one that lists them
    objects = gc.get_objects()
    return {
        "threads": len(list(Path("/proc/self/task").iterdir())),
        "python threads": sorted(thread.name for thread in threading.enumerate()),
        "tasks": sum(isinstance(each, asyncio.Task) and not each.done() for each in objects),
        "loops": sum(isinstance(each, asyncio.AbstractEventLoop) and not each.is_closed() for each in objects),
        "descriptors": dict(sorted(kinds.items())),
        "log handlers": len(logging.getLogger("naming").handlers),
        "temporary files": sorted(path.name for path in Path(os.environ["TMPDIR"]).iterdir()),
    }


def main(variables: dict[str, str], service: str) -> None:
    """Start and stop, and print a census after the first time and after the last."""
    import pydoudou

    before: dict[str, object] = {}
    for cycle in range(CYCLES + 1):
        with pydoudou.Registry(pydoudou.Settings.from_env(variables)) as registry:
            while not registry.members(service):
                threading.Event().wait(0.01)
        if cycle == 0:
            before = census()
            print(before)
    after = census()
    print(after)
    sys.exit(0 if before == after else f"it has changed:\n  {before}\n  {after}")


@pytest.mark.timeout(180)
@pytest.mark.parametrize("modes", ["nacos", "memberlist,nacos"])
def test_starts_and_stops_again_and_again_leave_nothing_behind(modes: str, nacos: NacosServer, tmp_path: Path) -> None:
    service = fresh_service()
    gossip = {"GDD_MEM_HOST": "127.0.0.1", "GDD_MEM_BIND": "127.0.0.1", "GDD_MEM_PORT": "0"}
    variables = nacos_variables(nacos.address, service) | gossip | {"GDD_SERVICE_DISCOVERY_MODE": modes}
    program = f"import test_nacos_resources as t; t.main({variables!r}, {service!r})"
    environment = os.environ | {"TMPDIR": str(tmp_path), "PYTHONPATH": f"{PROGRAM.parent}:{PROGRAM.parents[1]}"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=170)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
