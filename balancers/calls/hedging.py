"""When a call that waits is sent to a second member as well, and whoever answers first is the answer.

1. Only idempotent calls whose body can be sent again, of clients that can wait for two answers at once.
2. After the time within which the given share of this service's latest answers began; as long as too few have been
   seen, nothing is hedged.
3. At most the given share of calls more, and each of them is paid from the retry budget of the service too.
"""

from __future__ import annotations

import attrs

from .checks import a_number, a_whole_number

__all__ = ["Hedging"]


@attrs.frozen(kw_only=True)
class Hedging:
    """A second attempt while the first one waits.

    Attributes:
        quantile: the share of the service's latest answers that began within the time that is waited; 0.95 is the 95th
            percentile.
        most_extra: the most second attempts, as a share of the calls.
        least_answers: how many answers have to be known before anything is hedged.
    """

    quantile: float = attrs.field(default=0.95, validator=a_number(0.5, 0.999))
    most_extra: float = attrs.field(default=0.05, validator=a_number(0, 1, above=True))
    least_answers: int = attrs.field(default=100, validator=a_whole_number(1))
