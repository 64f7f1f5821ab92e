"""What a process holds that it did not hold before: threads, descriptors, files, the handler of a signal.

It compares what there is and does not count: in a process that runs many tests, something of an earlier one may end
meanwhile, and one thing that was kept must not pass for it.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from pathlib import Path

from support.waiting import eventually, eventually_async

from pydoudou.discovery import sigterm

__all__ = ["Holdings"]

POOLED = "AnyIO worker thread"
"""One of a pool that anyio keeps for the event loop: it has as many as were ever needed at once, and ends them."""


class Holdings:
    """What this process holds when this is made, to be compared with what it holds later.

    Args:
        files: a folder whose files count too.
    """

    def __init__(self, files: Path | None = None) -> None:
        self._folder = files
        self._threads, self._descriptors, self._files = _threads(), _descriptors(), _files(files)
        self._handler = signal.getsignal(signal.SIGTERM)

    def new(self) -> list[str]:
        """What is held now and was not then, each by its name."""
        threads = [f"thread {thread.name}" for thread in _threads() - self._threads]
        descriptors = [f"descriptor {number}: {target}" for number, target in _descriptors() - self._descriptors]
        files = [f"file {path}" for path in _files(self._folder) - self._files]
        handler = signal.getsignal(signal.SIGTERM)
        # A registry that another thread has stopped leaves its handler to the next one that starts.
        ours_is_gone = handler == signal.SIG_DFL and getattr(self._handler, "__module__", "") == sigterm.__name__
        same = handler == self._handler or ours_is_gone
        handlers = [] if same else [f"SIGTERM's handler {handler}, which was {self._handler}"]
        return sorted(threads + descriptors + files + handlers)

    def assert_nothing_new(self, within: float = 10.0) -> None:
        """Wait until nothing new is held: a thread that was told to end may take a moment.

        Raises:
            AssertionError: something still is after so many seconds; it names it.
        """
        try:
            eventually(lambda: not self.new(), timeout=within)
        except AssertionError:
            self._fail(within)

    async def assert_nothing_new_async(self, within: float = 10.0) -> None:
        """The same on an event loop.

        Raises:
            AssertionError: something still is after so many seconds; it names it.
        """
        try:
            await eventually_async(lambda: not self.new(), within)
        except AssertionError:
            self._fail(within)

    def _fail(self, within: float) -> None:
        if left := self.new():
            raise AssertionError(f"held after {within} s: {', '.join(left)}") from None


def _threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if not thread.name.startswith(POOLED)}


def _descriptors() -> set[tuple[int, str]]:
    """All but the one that lists them; none on a system that does not tell."""
    folder, found = Path("/proc/self/fd"), set()
    for descriptor in list(folder.iterdir()) if folder.is_dir() else []:
        with contextlib.suppress(FileNotFoundError):  # it was the one, or has ended
            found.add((int(descriptor.name), str(descriptor.readlink())))
    return found


def _files(folder: Path | None) -> set[Path]:
    return set() if folder is None else set(folder.rglob("*"))
