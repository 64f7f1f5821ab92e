"""What was dropped because it is unusable: counted, and said once for each kind and source."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from functools import partial

from .log_fields import fields
from .log_limit import RateLimitedLog
from .validation import Unusable, printable

__all__ = ["Refusals"]


class Refusals:
    """Takes note of every `Unusable`.

    Args:
        logger: of the driver.
        clock: seconds, monotonic.

    Attributes:
        count: how many there were.
    """

    def __init__(self, logger: logging.Logger, clock: Callable[[], float] = time.monotonic) -> None:
        self._log = RateLimitedLog(logger, clock, interval=math.inf)
        self.count = 0

    def note(self, source: str, unusable: Unusable) -> None:
        """Count it, and say it unless the same kind was said of this source.

        Args:
            source: who said it, in the words of the backend; shown printable and short.
        """
        self.count += 1
        self._log.warning(
            unusable.kind,
            "dropped what %s says: %s",
            printable(source),
            unusable,
            source=source[:200],
            extra=partial(fields, source=source, reason=unusable),
        )
