"""A Redis of the test's own, to be stopped, frozen and started again."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from pathlib import Path
from types import TracebackType

import pytest
from support.driven import spawn
from support.server_processes import free_port
from support.waiting import eventually

__all__ = ["RedisServer", "redis_program"]


def redis_program() -> str:
    """Where Redis is; skips the test without it."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("redis-server is not installed: apt-get install redis-server")
    return program


class RedisServer:
    """Serves from `start` on, or inside a with block; keeps nothing on disk.

    Attributes:
        url: where it is, the same after each start.
    """

    def __init__(self, folder: Path) -> None:
        self._program, self._folder = redis_program(), folder
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, empty, and wait until it answers."""
        options = ("--bind", "127.0.0.1", "--dir", str(self._folder), "--save", "", "--appendonly", "no")
        command = [self._program, "--port", str(self.port), *options, "--daemonize", "no"]
        self._process = spawn(command, stdout=subprocess.DEVNULL)
        eventually(self._answers, timeout=20)

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as asked:
                asked.sendall(b"PING\r\n")
                return asked.recv(16) == b"+PONG\r\n"
        except OSError:
            return False

    def stop(self) -> None:
        """End it; does nothing if it does not run."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(signal.SIGCONT)
            process.terminate()
            process.wait(10)
            assert process.stdin is not None
            process.stdin.close()

    def freeze(self) -> None:
        """Let it stand still: connections are accepted, and nothing is answered."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self._process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def thaw(self) -> None:
        """Let it go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def __enter__(self) -> RedisServer:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
