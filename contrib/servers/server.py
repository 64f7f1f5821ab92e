"""Registers a server once it answers, and takes its leave before it stops; a small thread does both.

The registry runs all the while, so that the program can call others from its first line to its last. What the thread is
told comes through a `SimpleQueue`, which a signal handler may put into whatever the interrupted code holds.
"""

from __future__ import annotations

import logging
import queue
import secrets
import threading
import time
from collections.abc import Callable
from typing import Any

import attrs

from ...discovery.registry import Registry
from ...drivers.errors import DiscoveryError, RegistryStateError
from ...drivers.kit.log_fields import fields
from .check import Check
from .states import Event, State, following

__all__ = ["RegisteredServer", "ServerStatus"]

logger = logging.getLogger(__name__)

_FIRST_WAIT = 0.05
_LONGEST_WAIT = 1.0
_BELIEVED_AFTER = 3.0
"""Seconds after which an answer counts that the application has not seen: a proxy or a layer around it gave it."""
_JOIN_WITHIN = 5.0


def _nothing() -> None:
    """Nobody waits for the end of draining."""


@attrs.frozen
class ServerStatus:
    """How the registration of a server is doing.

    Attributes:
        check: the URL that is asked.
        asked: how often it was.
        problem: what came instead of an answer, or why a backend did not register; "" if nothing is wrong.
    """

    state: State
    check: str
    asked: int
    problem: str

    def to_dict(self) -> dict[str, Any]:
        """All fields, as JSON takes them."""
        return {"state": self.state.value, "check": self.check, "asked": self.asked, "problem": self.problem}


class RegisteredServer:
    """The registration of one server, from `start` to `stop`.

    Args:
        registry: one that runs and was started with ``announce=False``; whoever started it stops it.
        path: what is asked whether the server answers; any status below 500 will do.
        scheme: http or https.
        drain: seconds to serve on after leaving; None: as `Registry.drain`.
        warn_after: seconds without an answer after which that is told, once.
        doubtful: what answers may be another process, which has the port that this one is to fail to open. It is
            believed when `recognise` was told of the check, or this process still lives three seconds later.

    Attributes:
        draining: whether it leaves, or has: a server closes the connections of its clients then.
        doubtful: whether it wants to be told of the requests that the application gets: until it has seen its own.

    Raises:
        ValueError: the path or the scheme cannot be used, or the registry registers nothing.
    """

    def __init__(
        self,
        registry: Registry,
        path: str = "/",
        *,
        scheme: str = "http",
        drain: float | None = None,
        warn_after: float = 10.0,
        doubtful: bool = False,
    ) -> None:
        settings = registry.settings
        if not settings.register:
            raise ValueError("the registry registers nothing: its settings say register=False")
        self.registry = registry
        agent = f"pydoudou/{secrets.token_hex(8)}"
        self._check = Check(settings.register_host, settings.port, path, scheme, agent=agent)
        self._drain = drain
        self._warn_after = warn_after
        self.doubtful = doubtful
        self._began = 0.0
        self._state = State.STARTING
        self._asked = 0
        self._problem = ""
        self._told: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self.draining = False
        self._then: Callable[[], None] = _nothing
        self._thread = threading.Thread(target=self._run, name="pydoudou server", daemon=True)

    def start(self) -> None:
        """Begin to ask whether the server answers."""
        self._thread.start()

    def drain_soon(self, then: Callable[[], None] = _nothing) -> bool:
        """Have it leave and serve on; True if that was the first time, and the registry was not stopped before. Without
        a lock and without waiting, for signal handlers.

        Args:
            then: is called by the thread of this object when the time to serve on is over.
        """
        if self.draining or self._state is State.LEFT:
            return False
        self.draining, self._then = True, then
        self._told.put(True)
        return True

    def stop(self) -> None:
        """End the thread: nothing is registered from now on. It leaves the registry as it is."""
        self.draining = True
        self._told.put(False)
        if self._thread.ident is not None and self._thread is not threading.current_thread():
            self._thread.join(_JOIN_WITHIN)

    def recognise(self, agent: str) -> None:
        """The application of this process was asked by a client that calls itself so."""
        if agent == self._check.agent:
            self.doubtful = False

    def status(self) -> ServerStatus:
        """How it is doing; from any thread."""
        return ServerStatus(self._state, self._check.url, self._asked, self._problem)

    # -- the thread ----------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            told = self._register()
            if self._told.get() if told is None else told:
                self._take_leave()
        except RegistryStateError as error:
            logger.debug("the registry was stopped first: %s", error)
        finally:
            self._state = State.LEFT

    def _register(self) -> bool | None:
        """Until it is registered, or told something else first: True to leave, False to end."""
        wait, warned = _FIRST_WAIT, False
        self._began = time.monotonic()
        while self._state is not State.REGISTERED:
            self._problem = self._attempt()
            if self._problem:
                if not warned and time.monotonic() - self._began >= self._warn_after:
                    warned = True
                    self._warn(time.monotonic() - self._began)
                try:
                    return self._told.get(timeout=wait)
                except queue.Empty:
                    wait = min(2 * wait, _LONGEST_WAIT)
        return None

    def _attempt(self) -> str:
        """One step towards being registered; what kept it from that."""
        if self._state is State.STARTING:
            self._asked += 1
            problem = self._check.problem()
            if not problem and self.doubtful and time.monotonic() - self._began < _BELIEVED_AFTER:
                problem = "what answers there is another process"
            if problem:
                return problem
            self.doubtful = False
            self._state = following(self._state, Event.ANSWERED)
        if self.draining:
            return "it was told to go before it was registered"
        try:
            self.registry.announce()
        except RegistryStateError:
            raise
        except DiscoveryError as error:
            return f"it answers, and could not be registered: {error}"
        self._state = following(self._state, Event.REGISTERED)
        return ""

    def _warn(self, seconds: float) -> None:
        settings = self.registry.settings
        what = "was asked" if self._state is State.STARTING else "answers"
        logger.warning(
            "%s is not registered: GET %s, which is its advertised address, %s %d times in %.0f s: %s; still trying",
            settings.service_name,
            self._check.url,
            what,
            self._asked,
            seconds,
            self._problem,
            extra=fields(service=settings.service_name, reason=self._problem),
        )

    def _take_leave(self) -> None:
        self._state = following(self._state, Event.TOLD_TO_GO)
        try:
            if self._state is State.DRAINING:
                self.registry.drain(self._drain)
                self._state = following(self._state, Event.SERVED_ON)
        finally:
            self._then()  # a registry that was stopped has left already: whoever told us to go is still to be answered
