"""How often something may happen, as text: ``50/s``, ``100/5m``, ``10/s burst 30``."""

from __future__ import annotations

import re
from datetime import timedelta

import attrs

__all__ = ["Rate"]

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_TEXT = re.compile("([0-9]{1,9}) */ *([0-9]{1,6})? *([smhd])(?: +burst +([0-9]{1,9}))?")
_ACCEPTED = 'accepted: text such as "50/s", "1000/h", "100/5m" or "10/s burst 30"'


@attrs.frozen
class Rate:
    """So many requests in so many seconds, evenly; and so many at once where nothing came before.

    Attributes:
        burst: at once; by default as many as in a whole period.
    """

    requests: int
    seconds: int
    burst: int

    @staticmethod
    def parsed(text: str) -> Rate:
        """The rate that `text` says.

        Raises:
            ValueError: it says none.
            TypeError: it is no text.
        """
        if not isinstance(text, str):
            raise TypeError(f"rate is a {type(text).__name__}; {_ACCEPTED}")
        found = _TEXT.fullmatch(text.strip())
        if found is None:
            raise ValueError(f"rate is {text!r}; {_ACCEPTED}")
        requests, seconds = int(found[1]), int(found[2] or 1) * _SECONDS[found[3]]
        burst = int(found[4] or requests)
        if not (requests and seconds and burst):
            raise ValueError(f"rate is {text!r}; no number in it may be 0")
        return Rate(requests, seconds, burst)

    def __str__(self) -> str:
        return f"{self.requests}/{self.seconds}s burst {self.burst}"

    @property
    def period(self) -> timedelta:
        return timedelta(seconds=self.seconds)

    @property
    def full_after(self) -> float:
        """Seconds after which nothing is left of any number of requests: nobody has to wait longer than this."""
        return self.burst * self.seconds / self.requests
