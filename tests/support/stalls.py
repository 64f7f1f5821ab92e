"""When this machine stood still: a process that only sleeps notes each time that it was woken much too late."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from types import TracebackType

__all__ = ["Stalls"]

_EVERY, _LATE = 0.05, 0.3
_SLEEPER = f"""
import time
due = time.monotonic()
while True:
    due += {_EVERY}
    time.sleep(max(0.0, due - time.monotonic()))
    if (late := time.monotonic() - due) > {_LATE}:
        print(time.time(), late, flush=True)
        due = time.monotonic()
"""


class Stalls:
    """Watches while the block runs. It has no share in what is tested: who computes too long in a thread of the product
    does not hold it up, another process that takes all of the machine does.
    """

    def __enter__(self) -> Stalls:
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _SLEEPER], stdout=subprocess.PIPE, text=True
        )
        self._stalls: list[tuple[float, float]] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        return self

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            ended, seconds = map(float, line.split())
            self._stalls.append((ended, seconds))

    def seconds(self, since: float = 0.0, until: float = float("inf")) -> float:
        """For how long the machine stood still in all, between two Unix times."""
        return sum(seconds for ended, seconds in self._stalls if since <= ended and ended - seconds <= until)

    def __str__(self) -> str:
        longest = max((seconds for _, seconds in self._stalls), default=0.0)
        return f"{self.seconds():.1f} s in {len(self._stalls)} times of more than {_LATE:g} s, {longest:.1f} at most"

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        time.sleep(2 * _EVERY)  # the last one is told when it is over
        self._process.kill()
        self._process.wait()
        self._reader.join()
        assert self._process.stdout is not None
        self._process.stdout.close()
