"""What the drivers that look by themselves are asked about one member: to look now, and how long an answer takes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial

from ..drivers.kit.log_fields import fields
from ..drivers.kit.log_limit import RateLimitedLog
from ..drivers.members import Member
from .supervised_driver import SupervisedDriver

__all__ = ["Probing"]

logger = logging.getLogger(__name__)

_MOST_ASKED = 1024
"""Members for which a look is asked and not yet begun. The loop of the drivers is late then."""


class Probing:
    """Of one registry that runs.

    Args:
        call_soon: has the event loop of the drivers call something; from any thread, without waiting.
        now: see `Clock.now`.

    Attributes:
        drivers: whom to ask.
    """

    def __init__(self, call_soon: Callable[[Callable[[], object]], None], now: Callable[[], float]) -> None:
        self.drivers: Sequence[SupervisedDriver] = ()
        self._call_soon = call_soon
        self._asked: set[tuple[str, int]] = set()
        self._log = RateLimitedLog(logger, now)

    def probe(self, member: Member) -> None:
        """Have the drivers that report `member` look at it; from any thread. A thousand calls that fail at once wake
        the event loop once.
        """
        address = (member.host, member.port)
        if address in self._asked or len(self._asked) >= _MOST_ASKED or not any(self._able(member)):
            return
        self._asked.add(address)
        self._call_soon(partial(self._probe, member))

    def round_trip(self, member: Member) -> float | None:
        """Seconds, from the first driver that knows; from any thread."""
        for driver in self._able(member):
            if driver.probing is not None and (seconds := driver.probing.round_trip(member)) is not None:
                return seconds
        return None

    def _able(self, member: Member) -> list[SupervisedDriver]:
        return [
            driver
            for driver in self.drivers
            if driver.probing is not None
            and (len(self.drivers) == 1 or driver.mode in member.sources or not member.sources)
        ]

    def _probe(self, member: Member) -> None:
        """On the event loop."""
        self._asked.discard((member.host, member.port))
        for driver in self._able(member):
            if driver.probing is None:
                continue
            try:
                driver.probing.probe(member)
            except Exception as error:
                self._log.warning(
                    "probe",
                    "the %s driver could not probe a member: %r",
                    driver.mode,
                    error,
                    extra=partial(
                        fields, service=member.service, member=member.address, backend=driver.mode, reason=error
                    ),
                )
