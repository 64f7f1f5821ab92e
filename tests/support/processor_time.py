"""What processes get of the processors of a busy machine, and for how long they wait for it (Linux).

A process that is ready and not let run is late for no fault of its own. The kernel counts both times for each thread.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType

import attrs

__all__ = ["ProcessorTime", "processor_seconds", "ran_and_waited", "times_waited"]

_EVERY = 1.0
_BUSY, _SLOWER, _FASTER, _LEAST_PACE = 0.7, 0.7, 1.2, 0.1


@attrs.frozen
class _Sample:
    at: float
    ran: dict[str, float]
    waited: dict[str, float]


class ProcessorTime:
    """Watches processes while the block runs.

    Args:
        pids: the processes, by name; the first one is who the pace is for.

    Attributes:
        pace: from 1 down to 0.1: how much of the load that is put on the first process is left, so that it does not
            wait for a processor for more than seven tenths of the time that it wants one.
    """

    def __init__(self, pids: Mapping[str, int], clock: Callable[[], float] = time.time) -> None:
        self._pids = pids
        self._clock = clock
        self._samples: list[_Sample] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.pace = 1.0

    def _run(self) -> None:
        paced = next(iter(self._pids))
        while not self._stop.wait(_EVERY):
            now = self._clock()
            times = {name: ran_and_waited(pid) for name, pid in self._pids.items()}
            self._samples.append(
                _Sample(
                    now,
                    {name: ran for name, (ran, _) in times.items()},
                    {name: waited for name, (_, waited) in times.items()},
                )
            )
            busy = self.waited_share(paced, 2 * _EVERY, now) > _BUSY
            self.pace = max(_LEAST_PACE, min(1.0, self.pace * (_SLOWER if busy else _FASTER)))

    def waited_share(self, name: str, seconds: float, until: float) -> float:
        """The part of the time in which a process was ready that it waited, in so many seconds before a moment."""
        some = [sample for sample in self._samples if until - seconds - _EVERY <= sample.at <= until + _EVERY]
        if len(some) < 2:
            return 0.0
        ran = max(0.0, some[-1].ran[name] - some[0].ran[name])
        waited = max(0.0, some[-1].waited[name] - some[0].waited[name])
        return waited / (ran + waited) if ran + waited else 0.0

    def __enter__(self) -> ProcessorTime:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()


def processor_seconds(pids: Iterable[int]) -> float:
    """Seconds for which all threads of these processes together ran, those that have ended included."""
    return sum(time.clock_gettime((~pid << 3) | 2) for pid in pids)  # the kernel's name for the clock of a process


def times_waited(pids: Iterable[int]) -> int:
    """How often the threads of these processes have gone to sleep for want of something to do; those that run now."""
    waited = 0
    for pid in pids:
        for each in Path(f"/proc/{pid}/task").glob("*/status"):
            with contextlib.suppress(OSError):  # a thread that has just ended
                waited += int(each.read_text().partition("\nvoluntary_ctxt_switches:")[2].split()[0])
    return waited


def ran_and_waited(pid: int) -> tuple[float, float]:
    """Seconds for which all threads of a process together ran, and waited for it."""
    ran = waited = 0
    for each in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        with contextlib.suppress(OSError):  # a thread that has just ended
            fields = each.read_text().split()
            ran, waited = ran + int(fields[0]), waited + int(fields[1])
    return ran / 1e9, waited / 1e9
