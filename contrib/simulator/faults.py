"""What can be wrong with members: with one or two of them for a third of the time, or with all of them all the time."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from ...drivers.members import Reached

__all__ = ["FAULTS", "UNDISTURBED", "Failure", "Fault", "fault_named"]

Failure = Reached | int
"""How far an attempt gets that fails at once, or the status that it is answered with."""


def _as_ever(_since: float) -> float:
    return 1.0


def _cold(since: float) -> float:
    return max(1.0, 5.0 - 4.0 * since / 10.0)


@attrs.frozen
class Fault:
    """One way for members to be in trouble.

    Attributes:
        summary: one line for a person.
        everybody: whether all members have it, all the time; else the first one has it in the middle third of the time.
        slowdown: how many times as long a piece of work takes that a member begins so many seconds after the fault did.
        failing: the share of the attempts that fail without the member's doing any work.
        failures: in which ways they do, each as often as the others. TIMED_OUT is no answer at all.
        restarts: whether the member registers anew when the fault begins.
        pauses: how often every member and the caller stand still, all the time and each for itself: the mean seconds
            from one pause to the next, and the seconds that each takes. None: never.
        early: whether it is there in the first third of the time, and over when others begin.
        others: what the second member has besides, and the third.
    """

    name: str
    summary: str
    everybody: bool = False
    slowdown: Callable[[float], float] = _as_ever
    failing: float = 0.0
    failures: tuple[Failure, ...] = ()
    restarts: bool = False
    pauses: tuple[float, float] | None = None
    early: bool = False
    others: tuple[Fault, ...] = ()

    def of(self, place: int) -> Fault | None:
        """What the member at this place has; None if it is spared."""
        if self.everybody or place == 0:
            return self
        return self.others[place - 1] if place <= len(self.others) else None


UNDISTURBED = Fault("none", "nothing is wrong")

_SLOW = Fault("slow", "one member is 10 times as slow", slowdown=lambda _since: 10.0)
_REFUSING = Fault("refusing", "one member refuses connections at once", failing=1.0, failures=(Reached.UNCONNECTED,))

FAULTS = {
    fault.name: fault
    for fault in (
        UNDISTURBED,
        _SLOW,
        Fault(
            "cold",
            "one member restarts, 5 times as slow, and is as fast as ever 10 s later",
            slowdown=_cold,
            restarts=True,
        ),
        _REFUSING,
        Fault("silent", "one member takes requests and answers none", failing=1.0, failures=(Reached.TIMED_OUT,)),
        attrs.evolve(
            _SLOW,
            name="two",
            summary="one member is 10 times as slow, and another one refuses connections at once",
            others=(_REFUSING,),
        ),
        Fault(
            "busy",
            "one member is 20 times as slow, another one has just restarted, and a third one has refused connections "
            "until then; each of them and the caller stand still for 0.2 s three times a minute",
            slowdown=lambda _since: 20.0,
            pauses=(20.0, 0.2),
            others=(
                Fault("new", "it has just restarted", restarts=True),
                attrs.evolve(_REFUSING, name="well again", early=True),
            ),
        ),
        Fault(
            "random",
            "every member fails 1 % of its calls all the time: 503 at once, or a broken connection",
            everybody=True,
            failing=0.01,
            failures=(503, Reached.BROKEN),
        ),
    )
}
"""All of them by name; ``none`` is none."""


def fault_named(name: str) -> Fault:
    """Raises `ValueError` for a name that is none, with those that are."""
    fault = FAULTS.get(name)
    if fault is None:
        raise ValueError(f"fault is {name!r}; accepted: {', '.join(FAULTS)}")
    return fault
