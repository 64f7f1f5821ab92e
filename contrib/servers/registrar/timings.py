"""How long workers wait for their registrar, and how often they look."""

from __future__ import annotations

import attrs

__all__ = ["Timings"]


@attrs.frozen
class Timings:
    """Seconds, all of them. The defaults are meant for everybody; a test passes others.

    Attributes:
        look_every: how often one worker looks whether the registrar has run, and is not stopped; see `guard`.
        look_otherwise_every: how often the others do, for the case that the one ends while the registrar is frozen. As
            a rule another worker comes in its place then, which finds that out as it comes.
        ask_every: how often it asks although the registrar has run: that may be going round in circles.
        stopped_for: what a registrar that was stopped has to answer.
        silent_for: what one has that may just be busy, or lack a processor.
        come_back_after: when a worker that is a node of its own looks for a registrar again, doubled with each time.
        come_back_after_most: the longest such wait.
    """

    look_every: float = 5.0
    look_otherwise_every: float = 120.0
    ask_every: float = 30.0
    stopped_for: float = 1.5
    silent_for: float = 10.0
    come_back_after: float = 5.0
    come_back_after_most: float = 120.0
