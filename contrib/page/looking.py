"""While somebody looks, the backends are asked for every service; a moment after the last look they are not any more.

Gossip knows everybody anyway. A Nacos server tells only of the services that somebody asks for: a page that showed no
others would hide what it is there to show, and one that asked for them for ever would make its process pay for a page
that nobody looks at.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping

from ...discovery.registry import Registry
from ...discovery.watch import Watch
from ...drivers.errors import RegistryStateError

__all__ = ["Looking"]

_FIRST_ANSWER_WITHIN = 0.5


class Looking:
    """Who looks at present. For any thread.

    Args:
        registries: gives those that there are, by name.
        over: is called when nobody looks any more.
        linger: seconds after the last look.
    """

    def __init__(
        self, registries: Callable[[], Mapping[str, Registry]], over: Callable[[], object], linger: float = 15.0
    ) -> None:
        self._registries = registries
        self._over = over
        self._linger = linger
        self._lock = threading.Lock()
        self._viewers = 0
        self._until = 0.0
        self._timer: threading.Timer | None = None
        self._watches: dict[Registry, Watch] = {}

    @property
    def asked(self) -> bool:
        """Whether the backends are asked for everything because somebody looks, or has just looked."""
        return bool(self._watches)

    @contextlib.contextmanager
    def viewing(self, most: int) -> Iterator[bool]:
        """Somebody looks for as long as the block runs; false if `most` do so already. Does not wait."""
        with self._lock:
            welcome = self._viewers < most
            self._viewers += welcome
        try:
            yield welcome
        finally:
            with self._lock:
                self._viewers -= welcome
                self._until = time.monotonic() + self._linger

    def glance(self) -> None:
        """Somebody looks now, and may again. Waits for the first answer of a backend that was not asked before, for a
        moment: so not in an event loop.
        """
        with self._lock:
            self._until = time.monotonic() + self._linger
            opened = self._open()
            if self._timer is None:
                self._wait()
        deadline = time.monotonic() + _FIRST_ANSWER_WITHIN
        for registry in opened:
            while not registry.status().members and time.monotonic() < deadline:
                time.sleep(0.02)

    def _open(self) -> list[Registry]:
        """Ask for everything of the registries that run; those that are new here."""
        registries = [registry for registry in self._registries().values() if registry.running]
        for gone in self._watches.keys() - set(registries):
            self._watches.pop(gone).close()
        opened = []
        for registry in registries:
            if registry not in self._watches:
                with contextlib.suppress(RegistryStateError):  # stopped meanwhile
                    self._watches[registry] = registry.watch()
                    opened.append(registry)
        return opened

    def _wait(self) -> None:
        timer = self._timer = threading.Timer(max(0.05, self._until - time.monotonic()), self._look_around)
        timer.name, timer.daemon = "pydoudou page", True
        timer.start()

    def _look_around(self) -> None:
        with self._lock:
            self._timer = None
            if self._viewers:
                self._until = time.monotonic() + self._linger
            if time.monotonic() < self._until:
                self._wait()
                return
            watches, self._watches = self._watches, {}
        for watch in watches.values():
            watch.close()
        self._over()
