"""Whoever wants to be told what happens: metrics, traces, a page."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from ..drivers.kit.log_fields import fields
from ..drivers.kit.log_limit import RateLimitedLog
from ..drivers.members import Member, Outcome
from .merging.events import MemberEvent
from .status import BackendStatus

__all__ = ["Observer", "Observers"]

logger = logging.getLogger(__name__)


class Observer:
    """Override what you want to hear; every method does nothing here.

    Pass it to `Registry.add_observer`. All methods must be quick and not wait: the first three are called on the event
    loop of the drivers, in the order of what happened, the others by the thread or task that makes the call. One that
    raises harms nobody: that is logged, once a minute.
    """

    def member_changed(self, event: MemberEvent) -> None:
        """The view of all backends has changed."""

    def driver_changed(self, status: BackendStatus) -> None:
        """A driver started or ended, became ready or authoritative, or ceased to be."""

    def configuration_told(self, texts: Mapping[str, str | None]) -> None:
        """The server that keeps configuration has told these texts, by name, None for one that is not there; what can
        be used of them is in force. They may hold secrets.
        """

    def picked(self, service: str, member: Member) -> None:
        """A balancer picked this member."""

    def attempt_failed(self, service: str, outcome: Outcome) -> None:
        """An attempt at a call got no answer; the call may go on with another member."""

    def attempt_ended(self, service: str, outcome: Outcome) -> None:
        """An attempt at a call has ended, answered or not; not told of one that the caller gave up."""

    def call_ended(self, service: str, outcome: Outcome) -> None:
        """A call is over, with the outcome of its last attempt. It took `Outcome.call_seconds`."""


_METHODS = (
    "member_changed",
    "driver_changed",
    "configuration_told",
    "picked",
    "attempt_failed",
    "attempt_ended",
    "call_ended",
)


class Observers(Observer):
    """All observers of a registry: false while there are none, so that nothing is spent on telling nobody.

    ::

        if registry.observers:
            registry.observers.picked(service, member)

    Attributes:
        listening: the same as a plain attribute, for where a tenth of a microsecond counts.
    """

    def __init__(self) -> None:
        self.listening = False
        self._observers: tuple[Observer, ...] = ()
        self._hearing: dict[str, tuple[tuple[Observer, Callable[..., None]], ...]] = dict.fromkeys(_METHODS, ())
        self._log = RateLimitedLog(logger, time.monotonic)

    def __bool__(self) -> bool:
        return bool(self._observers)

    def add(self, observer: Observer) -> None:
        """Tell this one too; once, however often it is added."""
        if observer not in self._observers:
            self._set((*self._observers, observer))

    def remove(self, observer: Observer) -> None:
        """Tell this one no more; does nothing if it was not told."""
        self._set(tuple(each for each in self._observers if each is not observer))

    def _set(self, observers: tuple[Observer, ...]) -> None:
        """Tell these. Who does not override a method is not called for it: most want to hear of one thing in six."""
        self._hearing = {
            name: tuple((each, getattr(each, name)) for each in observers if _overrides(each, name))
            for name in _METHODS
        }
        self._observers, self.listening = observers, bool(observers)

    def member_changed(self, event: MemberEvent) -> None:
        self._tell("member_changed", event)

    def driver_changed(self, status: BackendStatus) -> None:
        self._tell("driver_changed", status)

    def configuration_told(self, texts: Mapping[str, str | None]) -> None:
        self._tell("configuration_told", texts)

    def attempt_failed(self, service: str, outcome: Outcome) -> None:
        self._tell("attempt_failed", service, outcome)

    # These three are told with every call: each spares itself the way through `_tell`.

    def picked(self, service: str, member: Member) -> None:
        for observer, tell in self._hearing["picked"]:
            try:
                tell(service, member)
            except Exception as error:
                self._raised(observer, "picked", error)

    def attempt_ended(self, service: str, outcome: Outcome) -> None:
        for observer, tell in self._hearing["attempt_ended"]:
            try:
                tell(service, outcome)
            except Exception as error:
                self._raised(observer, "attempt_ended", error)

    def call_ended(self, service: str, outcome: Outcome) -> None:
        for observer, tell in self._hearing["call_ended"]:
            try:
                tell(service, outcome)
            except Exception as error:
                self._raised(observer, "call_ended", error)

    def _tell(self, method: str, *what: Any) -> None:
        for observer, tell in self._hearing[method]:
            try:
                tell(*what)
            except Exception as error:
                self._raised(observer, method, error)

    def _raised(self, observer: Observer, method: str, error: Exception) -> None:
        kind = f"{type(observer).__qualname__}.{method}"
        self._log.warning(
            kind,
            "the observer's %s raised %s: %s",
            kind,
            type(error).__name__,
            error,
            extra=partial(fields, reason=error),
        )


def _overrides(observer: Observer, name: str) -> bool:
    method = getattr(observer, name, None)
    return method is not None and getattr(method, "__func__", method) is not getattr(Observer, name)
