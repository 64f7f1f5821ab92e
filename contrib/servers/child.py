"""A server in a process of its own: started, told the signals that we get, waited for, and never started again.

Signals come through handlers that only put a number into a queue, which the main thread waits at. As the first process
of a container we have to handle every signal that is to do anything, because the kernel ignores default dispositions
there, and to wait for orphans of others, which the kernel gives to us. Who has ended is looked at without taking the
status, so that the child's own is left to `Popen`.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence

__all__ = ["FORWARDED", "Child"]

logger = logging.getLogger(__name__)

FORWARDED = (
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGWINCH,
)

_LOOK_EVERY = 1.0
"""Seconds: should a signal have come to a thread that cannot wake the main one."""


class Child:
    """A process. The methods are for the main thread, but for `send`.

    Args:
        command: the program and its arguments.
        first: is called with SIGTERM the first time it comes, in place of sending it on.
        environment: its variables.

    Raises:
        OSError: the program cannot be started.
    """

    def __init__(self, command: Sequence[str], first: Callable[[int], bool], environment: Mapping[str, str]) -> None:
        self._first = first
        self._signals: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._before = {number: signal.signal(number, self._heard) for number in (*FORWARDED, signal.SIGCHLD)}
        # At a terminal the child must be able to read, and gets Ctrl-C from the terminal itself; elsewhere it gets
        # signals from us alone, so that one for the whole group begins the drain and not the end.
        self._at_terminal = sys.stdin is not None and sys.stdin.isatty()
        try:
            group = None if self._at_terminal else 0
            self._process = subprocess.Popen(command, process_group=group, env=environment)
        except BaseException:
            self._take_back()
            raise

    def _heard(self, number: int, frame: object) -> None:
        self._signals.put(number)

    def wait(self) -> int:
        """Send signals on until it has ended; the code to exit with: its own, or 128 and the signal that ended it."""
        try:
            while (code := self._ended()) is None:
                with contextlib.suppress(queue.Empty):
                    self._forward(self._signals.get(timeout=_LOOK_EVERY))
        finally:
            self._take_back()
        return 128 - code if code < 0 else code

    def send(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        self._process.send_signal(number)

    def _forward(self, number: int) -> None:
        if number == signal.SIGCHLD or (number == signal.SIGINT and self._at_terminal):
            return
        if number == signal.SIGTERM and self._first(number):
            return
        self.send(number)

    def _ended(self) -> int | None:
        if os.getpid() == 1:
            self._reap_orphans()
        return self._process.poll()

    def _reap_orphans(self) -> None:
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)) is not None:
                if ended.si_pid == self._process.pid:
                    self._process.poll()
                else:
                    os.waitpid(ended.si_pid, 0)

    def _take_back(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
