"""Whether a registrar that holds its place still does its work: one worker watches it, whom the registrar chooses. The
others look now and then, in case that one ends while the registrar cannot choose.

A registrar that was killed is gone, and its socket tells everybody. One that is frozen, by SIGSTOP or because it hangs,
has the lock still, so that no other one can stand; and if it went on one day after another one had taken its place, the
service would be there twice. So it is killed: then everybody finds it gone, and one of them starts the next.

Looking costs the registrar nothing: the kernel tells how long it has run, and whether it is stopped. One that is, or
has not run since the last look, as one at rest may, is asked; and one that runs in circles is found by asking it now
and then in any case.
"""

from __future__ import annotations

import logging
import time

import anyio

from ....drivers.kit.log_fields import fields
from .place import Place
from .processes import Process, kill_holder, ran_for
from .timings import Timings
from .wire import Wire

__all__ = ["Guard", "kill_stopped"]

logger = logging.getLogger(__name__)


class Guard:
    """Of one registrar that was found.

    Args:
        pid: its process.
        wire: on which it answers, which calls `answered`.
    """

    def __init__(self, pid: int, place: Place, wire: Wire, timings: Timings) -> None:
        self._pid, self._place, self._wire, self._timings = pid, place, wire, timings
        self._answer = anyio.Event()
        self._chosen = anyio.Event()

    def choose(self) -> None:
        """This is the worker that looks often."""
        self._chosen.set()

    def answered(self) -> None:
        """It has answered."""
        self._answer.set()

    async def watch(self) -> str:
        """Returns why the registrar is no good any more, when it is not; it is killed then, if that can be."""
        ran, asked = ran_for(self._pid), time.monotonic()
        while True:
            await self._pause()
            before, ran = ran, ran_for(self._pid)
            due = self._chosen.is_set() and time.monotonic() >= asked + self._timings.ask_every
            if ran is not None and ran != before and not due and not _is_stopped(self._pid):
                continue
            if why := await self._why_silent():
                kill(self._pid, self._place, why)
                return why
            ran, asked = ran_for(self._pid), time.monotonic()

    async def _pause(self) -> None:
        if not self._chosen.is_set():
            with anyio.move_on_after(self._timings.look_otherwise_every):
                await self._chosen.wait()
        if self._chosen.is_set():
            await anyio.sleep(self._timings.look_every)

    async def _why_silent(self) -> str:
        """Ask it; why it does not answer, "" if it does."""
        self._answer = anyio.Event()
        self._wire.send({"kind": "ping"})
        until = time.monotonic() + self._timings.silent_for
        while time.monotonic() < until:
            with anyio.move_on_after(self._timings.stopped_for):
                await self._answer.wait()
                return ""
            if _is_stopped(self._pid):
                return f"it was stopped, and did not answer for {self._timings.stopped_for:g} s"
        return f"it did not answer for {self._timings.silent_for:g} s"


def kill_stopped(place: Place) -> bool:
    """Kill the registrar of a place if it is stopped, for who cannot get to it; whether it was."""
    pid = place.holder_pid()
    if pid is None or not _is_stopped(pid):
        return False
    return kill(pid, place, "it was stopped")


def kill(pid: int, place: Place, why: str) -> bool:
    """Kill the registrar of a place; whether it was that process."""
    killed = kill_holder(pid, place.lock)
    said = "killed" if killed else "given up, and cannot be killed"
    logger.warning("the registrar, process %d, is %s: %s", pid, said, why, extra=fields(reason=why))
    return killed


def _is_stopped(pid: int) -> bool:
    process = Process.of(pid)
    return process is not None and process.stopped
