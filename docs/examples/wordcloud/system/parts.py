"""The processes of the system: started, watched, started again if they end by themselves, and stopped."""

from __future__ import annotations

import base64
import contextlib
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs

__all__ = ["HERE", "HOST", "Part", "PartFailed", "free_port", "get"]

HERE = Path(__file__).parents[1]
HOST = "127.0.0.1"
_READY_WITHIN = 30.0
_POLL = 0.05
_STOPPED_WITHIN = 12.0
_AGAIN_AFTER = 1.0
_LOGIN = base64.b64encode(b"admin:admin").decode()


class PartFailed(Exception):
    """A part of the system did not start."""


def free_port() -> int:
    """A port of the loopback interface that nobody has."""
    with socket.create_server((HOST, 0)) as server:
        return int(server.getsockname()[1])


def get(url: str, within: float = 2.0) -> str:
    """What is at the URL.

    Raises:
        OSError: nothing answers, or with an error.
    """
    request = urllib.request.Request(url, headers={"authorization": f"Basic {_LOGIN}"})
    with urllib.request.urlopen(request, timeout=within) as answer:
        return str(answer.read().decode())


@attrs.define(eq=False)
class Part:
    """One process.

    Attributes:
        name: as the table shows it.
        command: the program and its arguments.
        folder: where its log is.
        variables: of its environment, beside those of this process.
        port: on which it listens; 0 if on none.
        check: the path that has an answer over HTTP when it is ready.
        probe: a command that succeeds when it is ready, where it speaks something else.
        ended_by: the signal that stops it.
    """

    name: str
    command: Sequence[str]
    folder: Path
    variables: Mapping[str, str] = attrs.field(factory=dict)
    port: int = 0
    check: str = ""
    probe: Sequence[str] = ()
    ended_by: signal.Signals = signal.SIGTERM
    starts: int = 0
    process: subprocess.Popen[bytes] | None = None
    _ended_at: float | None = None

    @property
    def log(self) -> Path:
        """What it printed."""
        return self.folder / f"{self.name}.log"

    @property
    def runs(self) -> bool:
        """Whether its process lives."""
        return self.process is not None and self.process.poll() is None

    def start(self) -> None:
        """Start it; it may not answer yet."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **self.variables},
                cwd=HERE,
                start_new_session=True,  # Ctrl-C is for the starter alone
            )
        self.starts += 1
        self._ended_at = None

    def answers(self) -> bool:
        """Whether it is ready now.

        Raises:
            PartFailed: it has ended.
        """
        if not self.runs:
            raise PartFailed(f"{self.name} ended before it answered; {self.log} ends with:\n{self._last_lines()}")
        if self.probe:
            return subprocess.run(self.probe, capture_output=True).returncode == 0
        if not self.port:
            return True
        try:
            if not self.check:
                socket.create_connection((HOST, self.port)).close()
                return True
            get(f"http://{HOST}:{self.port}{self.check}")
        except urllib.error.HTTPError as error:
            return error.code < 500
        except OSError:
            return False
        return True

    def wait(self) -> None:
        """Until it answers.

        Raises:
            PartFailed: it ends, or does not answer in time.
        """
        deadline = time.monotonic() + _READY_WITHIN
        while not self.answers():
            if time.monotonic() > deadline:
                raise PartFailed(f"{self.name} does not answer after {_READY_WITHIN:.0f} s:\n{self._last_lines()}")
            time.sleep(_POLL)

    def keep_running(self) -> None:
        """Start it again if it ended a moment ago."""
        if self.runs:
            return
        now = time.monotonic()
        if self._ended_at is None:
            self._ended_at = now
        elif now - self._ended_at >= _AGAIN_AFTER:
            self.start()

    def tell_to_stop(self) -> None:
        """Ask it to end."""
        if self.process is not None and self.runs:
            self.process.send_signal(self.ended_by)

    def stop(self) -> None:
        """End it, if need be without asking."""
        self.tell_to_stop()
        if self.process is None:
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(_STOPPED_WITHIN)
            return
        self.process.kill()
        self.process.wait()

    def _last_lines(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])
