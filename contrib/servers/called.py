"""Registers in the process that the application is called in, for servers that have no moment of their start to hook.

That a module was imported says nothing: management commands, tests and the parent of a development server that reloads
import it too. A process serves when its application is called. So that this happens before anybody knows the service,
the process that has imported it asks at the advertised address until something answers: in the end that is a call of
the application, in this process or, behind a reloader, in another one, which then is the one to register.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import attrs

from ...discovery import default_registry
from ...discovery.registry import Registry
from ...discovery.settings import Settings
from ...drivers.errors import DiscoveryError
from ...drivers.kit import own_process
from ...drivers.kit.log_fields import fields
from .arguments import check_arguments
from .check import Check
from .registered_above import anything_registered_above, registered_above
from .server import RegisteredServer, ServerStatus
from .signals import DrainFirst
from .states import State

__all__ = ["CalledServer"]

logger = logging.getLogger(__name__)

_FIRST_WAIT = 0.05
_LONGEST_WAIT = 1.0
_WARN_AFTER = 10.0
_JOIN_WITHIN = 5.0

_PREFORK = {
    "gunicorn.arbiter": "add to gunicorn.conf.py: from pydoudou.contrib.gunicorn import post_worker_init, worker_exit",
    "uwsgi": "start it with: pydoudou run -- uwsgi …",
}
"""Servers whose workers are forked, by a module that tells them, and what registers them instead. A thread of the
parent's would be a danger to its children."""
_HOOKS = "pydoudou.contrib.gunicorn"


def _prefork_remedy() -> str | None:
    """How a server is to be registered whose workers are forked; None for any other."""
    return next((remedy for module, remedy in _PREFORK.items() if module in sys.modules), None)


class CalledServer:
    """The registration of a server whose application says when it is called. Made when that is imported.

    Args:
        data: the metadata to register; flat, with text for keys.
        settings: instead of those of the environment, which are read in a thread of this object.
        check: the path that is asked, at the advertised address; any status below 500 will do.
        scheme: http or https.
        drain: seconds to serve on after leaving; None: as `Registry.drain`.
        warn_after: seconds without an answer after which that is told, once.

    Attributes:
        begun: by number, the processes in which the application was called: a fork copies this object.

    Raises:
        TypeError, ValueError: an argument cannot be used.
    """

    def __init__(
        self,
        data: Mapping[str, Any] | None = None,
        *,
        settings: Settings | None = None,
        check: str = "/",
        scheme: str = "http",
        drain: float | None = None,
        warn_after: float = _WARN_AFTER,
    ) -> None:
        check_arguments(data, settings, check, scheme, drain)
        self._data = data
        self._settings = settings
        self._check = Check("localhost", 1, check, scheme)  # its address comes with the settings
        self._drain = drain
        self._warn_after = warn_after
        self._asked = 0
        self._problem = ""
        self.begun: dict[int, object] = {}
        self._server: RegisteredServer | None = None
        self._registry: Registry | None = None
        self._stopped = threading.Event()
        self._threads: list[threading.Thread] = []
        self._drain_first = DrainFirst(self)

    def ask(self) -> None:
        """Ask until something answers; does nothing where workers are forked, and under `pydoudou run`."""
        remedy = _prefork_remedy()
        if remedy is None:
            # A server for development has a handler of its own, or imports the application in another thread.
            self._drain_first.set(otherwise=logging.INFO)
            self._in_a_thread(self._ask)
        elif _HOOKS not in sys.modules and not anything_registered_above():
            logger.warning("the workers of this server are not registered by the application: %s", remedy)

    def called(self) -> None:
        """The application is called: this process serves, and registers. It costs a look, but for the first time."""
        process = own_process.number
        if process not in self.begun and self.begun.setdefault(process, mine := object()) is mine:
            self._in_a_thread(self._begin)

    def drain_soon(self, then: Callable[[], None]) -> bool:
        """As `RegisteredServer.drain_soon`; False if nothing was registered yet."""
        return self._server is not None and self._server.drain_soon(then)

    def stop(self) -> None:
        """Leave, and end everything. Does nothing when stopped already."""
        self._stopped.set()
        self._drain_first.take_back()
        if self._registry is not None:
            self._registry.stop()  # first: it ends a start and a drain that still wait
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(_JOIN_WITHIN)
        if self._server is not None:
            self._server.stop()

    def status(self) -> ServerStatus:
        """How the registration is doing in this process."""
        if self._server is not None:
            return self._server.status()
        return ServerStatus(
            State.LEFT if self._stopped.is_set() else State.STARTING, self._check.url, self._asked, self._problem
        )

    # -- threads -------------------------------------------------------------------------------------------------------

    def _in_a_thread(self, what: Callable[[], None]) -> None:
        thread = threading.Thread(target=what, name="pydoudou server", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _ask(self) -> None:
        settings = self._read_settings()
        if settings is None or registered_above(settings):
            return
        self._check = attrs.evolve(self._check, host=settings.register_host, port=settings.port)
        wait, began, warned = _FIRST_WAIT, time.monotonic(), False
        while not self._stopped.wait(wait) and own_process.number not in self.begun:
            self._asked += 1
            self._problem = self._check.problem()
            if not self._problem:
                return
            if not warned and time.monotonic() - began >= self._warn_after:
                warned = True
                self._warn(settings.service_name, time.monotonic() - began)
            wait = min(2 * wait, _LONGEST_WAIT)

    def _begin(self) -> None:
        running = default_registry.current()
        if _prefork_remedy() is not None or (running is not None and running.running and running.settings.register):
            return
        settings = self._read_settings()
        if settings is None or registered_above(settings):
            return
        try:
            # SIGTERM is ours, and has to be answered by more than leaving.
            chosen = attrs.evolve(settings, leave_on_sigterm=False)
            self._registry = default_registry.new_node(self._data, settings=chosen, announce=False)
        except DiscoveryError as error:
            if not self._stopped.is_set():
                extra = fields(service=settings.service_name, reason=error)
                logger.error("%s is not registered: %s", settings.service_name, error, extra=extra)
            return
        self._server = RegisteredServer(
            self._registry, self._check.path, scheme=self._check.scheme, drain=self._drain, warn_after=self._warn_after
        )
        self._server.start()

    def _read_settings(self) -> Settings | None:
        try:
            return self._settings or Settings.from_env()
        except DiscoveryError as error:
            self._problem = str(error)
            logger.error("nothing is registered: %s", error, extra=fields(reason=error))
            return None

    def _warn(self, service: str, seconds: float) -> None:
        logger.warning(
            "%s is not registered: GET %s, which is its advertised address, was asked %d times in %.0f s: %s; "
            "still trying",
            service,
            self._check.url,
            self._asked,
            seconds,
            self._problem,
            extra=fields(service=service, reason=self._problem),
        )
