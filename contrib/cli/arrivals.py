"""Waiting for what a registry finds out when it has just begun to look."""

from __future__ import annotations

import threading
import time

import click

import pydoudou

from ...discovery.merging.events import MemberEvent
from ...discovery.observer import Observer
from .progress import waiting

__all__ = ["nobody", "wait_for_members"]

_QUIET = 0.1
"""Members are all there when none has come for so many seconds: backends report them in batches."""


class _Arrivals(Observer):
    def __init__(self) -> None:
        self._something = threading.Event()

    def member_changed(self, event: MemberEvent) -> None:
        self._something.set()

    def within(self, seconds: float) -> bool:
        """Wait until something has changed since the last time; whether it has."""
        came = self._something.wait(max(0.0, seconds))
        self._something.clear()
        return came


def wait_for_members(registry: pydoudou.Registry, service: str | None, seconds: float) -> tuple[pydoudou.Member, ...]:
    """The members of a service, or of all; as soon as they are known, and none if that takes longer than `seconds`."""
    arrivals, over = _Arrivals(), time.monotonic() + seconds
    registry.add_observer(arrivals)
    try:
        found = registry.members(service)
        if not found:
            with waiting("waiting for the first member"):
                while not found and arrivals.within(over - time.monotonic()):
                    found = registry.members(service)
        while found and arrivals.within(min(_QUIET, over - time.monotonic())):
            found = registry.members(service)
        return found
    finally:
        registry.remove_observer(arrivals)


def nobody(registry: pydoudou.Registry, service: str | None) -> click.ClickException:
    """The error that says why there are no members."""
    if service is not None:
        return click.ClickException(registry.explain(service))
    said = "; ".join(map(str, registry.status().backends))
    return click.ClickException(f"no members of any service: {said}")
