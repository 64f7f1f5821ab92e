"""A real Go node on HashiCorp memberlist, as a process that is driven over its standard input and output."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import threading
from collections.abc import Sequence
from types import TracebackType
from typing import Any

from .peers import locate

__all__ = ["FAST", "GoPeer"]

FAST = (
    *("-probe-interval", "500ms", "-probe-timeout", "200ms", "-gossip-interval", "50ms"),
    *("-suspicion-mult", "3", "-tcp-timeout", "2s"),
)
"""Intervals for tests on loopback; the Python side uses the same."""


class GoPeer:
    """A running node. Used as a context manager; it dies with the test, because its standard input closes then.

    Attributes:
        address: ``host:port`` of its gossip.
    """

    def __init__(self, name: str, *flags: str, fast: bool = True, enter: Sequence[str] = ()) -> None:
        command = [*enter, str(locate("memberlist") / "peer"), "-name", name, *(FAST if fast else ()), *flags]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._events: list[dict[str, Any]] = []
        self._ended = False
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.name = name
        try:
            ready = self.wait_for("ready")
        except BaseException:
            self.close()
            raise
        self.pid = int(ready["pid"])
        bind = str(ready["bind"])
        self.address = f"[{bind}]:{ready['port']}" if ":" in bind else f"{bind}:{ready['port']}"

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._changed:
                self._events.append(json.loads(line))
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def events(self, kind: str) -> list[dict[str, Any]]:
        """All events of one kind so far."""
        with self._changed:
            return [event for event in self._events if event["event"] == kind]

    def logged(self, *words: str) -> list[str]:
        """Log lines that contain one of the words (needs ``-log json``)."""
        return [event["line"] for event in self.events("log") if any(word in event["line"] for word in words)]

    def wait_for(
        self, kind: str, node: str | None = None, *, after: int = 0, timeout: float = 10.0, **fields: Any
    ) -> dict[str, Any]:
        """The first event of this kind, about this node, with these fields, among those from number `after` on; waits
        for it.

        Raises:
            AssertionError: it does not come in time, or the process ends before it does.
        """

        def find() -> dict[str, Any] | None:
            for event in self._events[after:]:
                about = node is None or event.get("node", {}).get("name") == node
                if event["event"] == kind and about and fields.items() <= event.items():
                    return event
            return None

        with self._changed:
            self._changed.wait_for(lambda: self._ended or find(), timeout)
            found = find()
            why = "it ended" if self._ended else f"{timeout} s"
            assert found is not None, f"{self.name}: no {kind} of {node} until {why}: {self._events[after:][-10:]}"
            return found

    @property
    def seen(self) -> int:
        """How many events came so far: a position for `wait_for`."""
        with self._changed:
            return len(self._events)

    def command(self, line: str, timeout: float = 15.0) -> dict[str, Any]:
        """Give a command and return its result.

        Raises:
            AssertionError: it failed, or did not answer in time.
        """
        after = self.seen
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        result = self.wait_for("result", after=after, timeout=timeout, cmd=line.split()[0])
        assert result["ok"], f"{self.name}: {line}: {result}"
        return result

    def members(self) -> set[str]:
        """The names of the nodes that are neither dead nor gone."""
        return {member["name"] for member in self.command("members")["members"]}

    def kill(self, signal_number: int = signal.SIGKILL) -> None:
        """Send a signal: SIGKILL, SIGSTOP, SIGCONT. After SIGSTOP it stands still when this returns."""
        self._process.send_signal(signal_number)
        if signal_number == signal.SIGSTOP:
            os.waitid(os.P_PID, self._process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

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

    def __enter__(self) -> GoPeer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
