"""A real peer as a process that tells what happens in JSON lines on its standard output, and takes commands."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import IO, Any, TypeVar

__all__ = ["Driven", "Event", "spawn"]

Event = dict[str, Any]
_D = TypeVar("_D", bound="Driven")
_IN_OWN_GROUP = "import os, sys; os.setpgid(0, 0); os.execvp(sys.argv[1], sys.argv[1:])"


def spawn(command: Sequence[str], **options: Any) -> subprocess.Popen[Any]:
    """Start a process in a process group of its own; its standard input is a pipe.

    When the test run is killed, the kernel ends with SIGHUP what stands still in a group that nobody is left to wake.
    Everything else sees its standard input close.
    """
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _IN_OWN_GROUP, *command], stdin=subprocess.PIPE, **options
    )
    while process.poll() is None and os.getpgid(process.pid) != process.pid:
        time.sleep(0.001)
    return process


class Driven:
    """A running process. Used as a context manager; it dies with the test, because its standard input closes then.

    Every line of its output is an event: a JSON object with ``event``, what kind it is. What is no JSON, because a
    library prints it, becomes one of the kind ``output``. `errors` takes its standard error; by default that is ours.
    """

    def __init__(self, name: str, command: Sequence[str], *, errors: IO[str] | None = None) -> None:
        self.name = name
        self._process = spawn(command, stdout=subprocess.PIPE, stderr=errors, encoding="utf-8")
        self._events: list[Event] = []
        self._ended = False
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            event = json.loads(line) if line.startswith("{") else {"event": "output", "line": line}
            with self._changed:
                self._events.append(event)
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    @property
    def seen(self) -> int:
        """How many events came so far: a position for `wait`."""
        with self._changed:
            return len(self._events)

    def events(self, kind: str) -> list[Event]:
        """All events of one kind so far."""
        with self._changed:
            return [event for event in self._events if event["event"] == kind]

    def wait(self, what: str, matches: Callable[[Event], object], *, after: int = 0, timeout: float = 10.0) -> Event:
        """The first event that matches, among those from number `after` on; waits for it.

        Raises:
            AssertionError: it does not come in time, or the process ends before it does.
        """

        def find() -> Event | None:
            return next((event for event in self._events[after:] if matches(event)), None)

        with self._changed:
            self._changed.wait_for(lambda: self._ended or find(), timeout)
            found = find()
            why = "it ended" if self._ended else f"{timeout} s"
            assert found is not None, f"{self.name}: no {what} until {why}: {self._events[after:][-10:]}"
            return found

    def ask(self, line: str, name: str, timeout: float = 15.0) -> Event:
        """Write a command line and return the result of the command `name`.

        Raises:
            AssertionError: it failed, or did not answer in time.
        """
        after = self.seen
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        result = self.wait(
            f"result of {name}",
            lambda event: event["event"] == "result" and event["cmd"] == name,
            after=after,
            timeout=timeout,
        )
        assert result["ok"], f"{self.name}: {line}: {result}"
        return result

    def kill(self, signal_number: int = signal.SIGKILL) -> float:
        """Send a signal: SIGKILL, SIGSTOP, SIGCONT. After SIGSTOP it stands still when this returns.

        Returns:
            Unix time just before.
        """
        began = time.time()
        self._process.send_signal(signal_number)
        if signal_number == signal.SIGSTOP:
            os.waitid(os.P_PID, self._process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        return began

    def close(self) -> None:
        """End it, however it is."""
        process = self._process
        if process.poll() is None:
            process.kill()
        process.wait()
        self._reader.join(5)
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()

    def __enter__(self: _D) -> _D:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
