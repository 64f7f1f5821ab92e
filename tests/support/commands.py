"""The commands as their users have them: processes, in a pipe and on a terminal whose screen can be read."""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Sequence
from types import TracebackType

import pyte
from support.server_processes import process_of

__all__ = ["Terminal", "environment", "pydoudou", "running"]

COMMAND = [sys.executable, "-m", "pydoudou"]
_LINES = 40


def environment(**variables: str) -> dict[str, str]:
    """That of this process without its settings, and with these."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("GDD_", "NO_COLOR", "COLUMNS"))}
    return ours | variables


def pydoudou(*arguments: str, enter: Sequence[str] = (), **variables: str) -> subprocess.CompletedProcess[str]:
    """A command that has ended, run in a pipe; `enter` is a command that runs the rest of its line elsewhere."""
    command = [*enter, *COMMAND, *arguments]
    return subprocess.run(
        command, env=environment(**variables), capture_output=True, text=True, timeout=50, check=False
    )


@contextlib.contextmanager
def running(*arguments: str, enter: Sequence[str] = (), **variables: str) -> Iterator[subprocess.Popen[str]]:
    """A command that goes on, in a pipe; ended by Ctrl-C unless it has ended."""
    with process_of(
        [*enter, *COMMAND, *arguments],
        env=environment(PYTHONUNBUFFERED="1", **variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(20)


class Terminal:
    """A command on a terminal of so many columns, which it is controlled by. Used as a context manager.

    Attributes:
        raw: all that the terminal was sent so far.
    """

    def __init__(self, *arguments: str, columns: int = 120, enter: Sequence[str] = (), **variables: str) -> None:
        self._screen = pyte.Screen(columns, _LINES)
        self._stream = pyte.ByteStream(self._screen)
        self._mine, theirs = os.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", _LINES, columns, 0, 0))
        self.raw = b""
        self.process = subprocess.Popen(
            ["setsid", "--ctty", *enter, *COMMAND, *arguments],
            env=environment(**({"TERM": "xterm"} | variables)),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
        )
        os.close(theirs)

    @property
    def lines(self) -> list[str]:
        """What the screen shows, without what is empty."""
        return [line.rstrip() for line in self._screen.display if line.strip()]

    def wait_for(self, text: str, timeout: float = 20.0) -> None:
        """Read until the screen shows `text`.

        Raises:
            AssertionError: it does not in time, or before the command ends.
        """
        over = time.monotonic() + timeout
        while not any(text in line for line in self.lines):
            assert self._read(over - time.monotonic()), f"no {text!r} on the screen: {self.lines}"

    def wait_for_bytes(self, sent: bytes, timeout: float = 20.0) -> None:
        """Read until the terminal was sent `sent`, which its screen may not show any more.

        Raises:
            AssertionError: it was not in time, or before the command ended.
        """
        over = time.monotonic() + timeout
        while sent not in self.raw:
            assert self._read(over - time.monotonic()), f"no {sent!r} in what ends with {self.raw[-500:]!r}"

    def read_on(self, within: float = 0.1) -> None:
        """Read what comes meanwhile."""
        self._read(within)

    def write(self, text: str) -> None:
        """Type this."""
        os.write(self._mine, text.encode())

    def end(self, timeout: float = 20.0) -> int:
        """Read until the command ends; its exit code."""
        over = time.monotonic() + timeout
        while self._read(over - time.monotonic()):
            pass
        return self.process.wait(max(0.1, over - time.monotonic()))

    def interrupt(self) -> float:
        """Type Ctrl-C, of which all processes of the command are told; the seconds that it took to end."""
        began = time.monotonic()
        self.write("\x03")
        self.end()
        return time.monotonic() - began

    def _read(self, within: float) -> bool:
        """Whether something more could be read."""
        if within <= 0 or not select.select([self._mine], [], [], within)[0]:
            return False
        try:
            data = os.read(self._mine, 65536)
        except OSError:  # so Linux says that the other end is closed
            return False
        self.raw += data
        self._stream.feed(data)
        return bool(data)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self._mine)
