"""Servers as processes of their own, which may start others: a port for them, and their end, with all they started."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
from pathlib import Path
from typing import Any

__all__ = ["children", "free_port", "kill_with_children"]


def free_port() -> int:
    """A port that nobody listens on, over TCP or UDP."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return int(unused.getsockname()[1])


def children(process: int) -> list[int]:
    """The processes that it has started."""
    return [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def kill_with_children(process: subprocess.Popen[Any]) -> None:
    """Kill it, and those that it has started with their groups: who is killed alone leaves its children behind."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has ended, and they with it
        for child in children(process.pid):
            if os.getpgid(child) == child:
                os.killpg(child, signal.SIGKILL)
            else:
                os.kill(child, signal.SIGKILL)
    process.kill()
