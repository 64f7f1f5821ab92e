"""Processes of their own, which may start others: a port for a server, and their end, with all they started."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

__all__ = ["children", "end_by_its_input", "free_port", "kill_with_children", "process_of"]


def free_port() -> int:
    """A port that nobody listens on, over TCP or UDP."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return int(unused.getsockname()[1])


def children(process: int) -> list[int]:
    """The processes that it has started."""
    return [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


@contextlib.contextmanager
def process_of(command: Sequence[str | Path], **options: Any) -> Iterator[subprocess.Popen[str]]:
    """A command's process, whose pipes carry text; at the end it is killed, with all it started, if it still runs.

    Args:
        options: what `subprocess.Popen` takes.
    """
    with subprocess.Popen(command, text=True, **options) as process:
        try:
            yield process
        finally:
            kill_with_children(process)


def end_by_its_input(process: subprocess.Popen[str], within: float = 20.0) -> str:
    """Close its standard input, at which it is to end; kill it, with all it started, if it goes on for so many seconds.

    Returns:
        what it wrote to standard error, if that is a pipe.
    """
    try:
        _, errors = process.communicate(timeout=within)
    except subprocess.TimeoutExpired:
        kill_with_children(process)
        _, errors = process.communicate()
    return errors


def kill_with_children(process: subprocess.Popen[Any]) -> None:
    """Kill it, and those that it has started with their groups: who is killed alone leaves its children behind."""
    if process.poll() is None:
        _kill_those_started_by(process.pid)
        process.kill()


def _kill_those_started_by(process: int) -> None:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has ended, and they with it
        os.kill(process, signal.SIGSTOP)  # or it starts others in their place
        for child in children(process):
            _kill_those_started_by(child)
            with contextlib.suppress(ProcessLookupError):
                if os.getpgid(child) == child:
                    os.killpg(child, signal.SIGKILL)
                else:
                    os.kill(child, signal.SIGKILL)
