"""Which workers there are, and what follows from that: when the service leaves, and when the registrar ends.

- *A worker that goes alone changes nothing*: it is replaced, by SIGHUP, after so many requests, or because it was
  killed. After a moment, in which the others would say the same, it is told that it may go.
- *All of them go*: the service leaves, and all serve on until everybody has heard of it. Unless others were started in
  their place that have not come yet: a server that reloads starts the new ones first.
- *The last one is gone*: the registrar ends, at once if the service has left, or if whoever starts workers is gone too;
  else it stays for a while, because who was killed is replaced.

A function of what was told and of the time: no clock, no socket, no process.
"""

from __future__ import annotations

import math

import attrs

__all__ = ["REPLACED_WITHIN", "Attendance", "Verdict"]

_OTHERS_WOULD_SAY_SO_WITHIN = 0.5
REPLACED_WITHIN = 10.0
"""Seconds in which a worker that was started comes, or one that was killed is replaced."""


@attrs.define(eq=False)
class _Worker:
    serves: bool
    leaving_since: float = math.inf
    released: bool = False

    @property
    def leaving(self) -> bool:
        return self.leaving_since < math.inf


@attrs.frozen
class Verdict:
    """What is to be done now.

    Attributes:
        leave: have the service leave; said once.
        release: tell these workers that they may go.
        end: nobody is left, and nobody is waited for.
        again_after: look again after so many seconds, if nothing happens before.
    """

    leave: bool = False
    release: tuple[int, ...] = ()
    end: bool = False
    again_after: float = math.inf


class Attendance:
    """The workers of one registrar, by a number that whoever tells of them chooses.

    Args:
        began: when the registrar began to wait for the first one.
    """

    def __init__(self, began: float) -> None:
        self._workers: dict[int, _Worker] = {}
        self._nobody_since = began
        self._anybody_came = False
        self._left = False

    @property
    def left(self) -> bool:
        """Whether the service was told to leave: who comes now belongs to another registrar."""
        return self._left

    def __len__(self) -> int:
        return len(self._workers)

    def came(self, number: int, serves: bool) -> None:
        """A worker is there."""
        self._anybody_came = True
        self._workers[number] = _Worker(serves)

    def leaves(self, number: int, now: float) -> None:
        """It says that it is to end; it serves on."""
        worker = self._workers[number]
        if not worker.leaving:
            worker.leaving_since = now

    def gone(self, number: int, now: float) -> None:
        """It is not there any more."""
        if self._workers.pop(number, None) is not None:
            self._nobody_since = now

    @property
    def staying(self) -> bool:
        """Whether there is a worker that serves, and has not said that it is to end."""
        return any(worker.serves and not worker.leaving for worker in self._workers.values())

    def verdict(self, now: float, *, expected: bool, replaceable: bool) -> Verdict:
        """What follows.

        Args:
            expected: whether a worker was started that has not come yet.
            replaceable: whether whoever starts workers is still there.
        """
        if not self._workers:
            return self._without_workers(now, expected or replaceable or not self._anybody_came)
        serving = [worker for worker in self._workers.values() if worker.serves]
        leave = bool(serving) and not self._left and all(worker.leaving for worker in serving)
        if leave and expected:
            since = max(worker.leaving_since for worker in serving)
            leave = now - since >= REPLACED_WITHIN
        if leave:
            self._left = True
            return Verdict(leave=True)
        return self._release(now, waits=bool(serving) and all(worker.leaving for worker in serving))

    def _without_workers(self, now: float, somebody_comes: bool) -> Verdict:
        left = self._nobody_since + REPLACED_WITHIN - now
        if self._left or not somebody_comes or left <= 0:
            return Verdict(end=True)
        return Verdict(again_after=min(left, _OTHERS_WOULD_SAY_SO_WITHIN))

    def _release(self, now: float, *, waits: bool) -> Verdict:
        """Those that go alone, once the others had time to say the same; who does not serve goes at once."""
        release, again = [], _OTHERS_WOULD_SAY_SO_WITHIN if waits and not self._left else math.inf
        for number, worker in self._workers.items():
            if not worker.leaving or worker.released or (self._left and worker.serves):
                continue
            left = worker.leaving_since + _OTHERS_WOULD_SAY_SO_WITHIN - now if worker.serves else 0.0
            if left <= 0:
                worker.released = True
                release.append(number)
            else:
                again = min(again, left)
        return Verdict(release=tuple(release), again_after=again)
