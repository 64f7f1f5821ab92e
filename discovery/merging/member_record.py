"""What the drivers say of one member, and what follows from it.

Every driver has a *voice* about a member. A voice is made of one report per process: two workers behind one address
are one member to the world, and the death of the first says nothing while the second lives.

*Bad news* is a voice that turned SUSPECT, FAILED or LEFT. It has a date, and it stands until somebody overrules it:

- The driver itself, with a report that the member is ALIVE: at once.
- Another driver that can judge and says ALIVE: as soon as that one would have noticed the same failure by itself, its
  detection bound after the date, or after it became able to judge, whichever is later. (Without the latter, a Nacos
  server that comes back would vouch for a process that died while it was down.) At once, if the driver with the bad
  news cannot judge any more.

What was overruled stays so. FAILED after SUSPECT is the same news, a suspicion whose time ran out, and gets no new
date; LEFT is news, because it comes from the member itself.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import attrs

from ...drivers.members import Member, MemberState

__all__ = ["Judge", "Record", "Voice"]

_ALIVE, _SUSPECT, _FAILED, _LEFT = MemberState.ALIVE, MemberState.SUSPECT, MemberState.FAILED, MemberState.LEFT

# What a service said of itself in its gossip metadata comes before a weight that may have been edited in a console,
# whatever the order of the modes.
_FIRST_FOR_WEIGHT = "memberlist"


@attrs.define(eq=False)
class Judge:
    """One driver: whether it can judge at present, why not, since when it can, and how long it needs to notice."""

    bound: float
    able: bool = True
    reason: str = ""
    since: float = -math.inf


@attrs.define(eq=False)
class Voice:
    """What one driver says of one member.

    Attributes:
        reports: the reports ALIVE and SUSPECT, by the backend's name for the process; the latest process is last.
        state: the best of them, or the state in which the last process went.
        since: the date of the bad news.
        overruled: whether the bad news no longer stands.
    """

    reports: dict[str, Member] = attrs.Factory(dict)
    state: MemberState | None = None
    since: float = -math.inf
    overruled: bool = False

    def hear(self, report: Member, now: float, able_since: float) -> None:
        """Take in a report; FAILED or LEFT about a process that was never reported is no news."""
        if report.state is _ALIVE or report.state is _SUSPECT:
            self.reports[report.node] = report
        elif self.reports.pop(report.node, None) is None:
            return
        before, self.state = self.state, self._best(report.state)
        if self.state is _ALIVE:
            self.overruled = False
        elif before is not _SUSPECT or self.state is _LEFT or self.since < able_since:
            self.since, self.overruled = now, False

    def _best(self, latest: MemberState) -> MemberState:
        if latest is _ALIVE or not self.reports:
            return latest
        return _ALIVE if any(report.state is _ALIVE for report in self.reports.values()) else _SUSPECT

    @property
    def report(self) -> Member:
        """The report to go by: of the best ones, that of the latest process."""
        return next(report for report in reversed(self.reports.values()) if report.state is self.state)


@attrs.define(eq=False)
class Record:
    """Everything that is said of one member."""

    voices: dict[str, Voice] = attrs.Factory(dict)

    @property
    def empty(self) -> bool:
        """Whether no driver has the member any more."""
        return not any(voice.reports for voice in self.voices.values())

    def hear(self, mode: str, report: Member, now: float, able_since: float) -> None:
        """Take in what the driver of `mode` reports."""
        voice = self.voices.get(mode)
        if voice is None:
            voice = Voice()
        voice.hear(report, now, able_since)
        if voice.reports or (voice.state is not None and not voice.overruled):
            self.voices[mode] = voice
        else:
            self.voices.pop(mode, None)

    def settle(self, judges: Mapping[str, Judge], now: float) -> tuple[Member | None, float]:
        """The member as the view shows it, None if it is gone, and when to ask again although nothing was reported."""
        again = math.inf
        for mode, voice in tuple(self.voices.items()):
            if voice.state is _ALIVE or voice.overruled:
                continue
            until = self._stands_until(mode, voice, judges)
            if until > now:
                again = min(again, until)
                continue
            voice.overruled = True
            if not voice.reports:
                del self.voices[mode]
        return self._shown(judges), again

    def _stands_until(self, mode: str, voice: Voice, judges: Mapping[str, Judge]) -> float:
        return min(
            (
                max(voice.since, judges[other].since) + judges[other].bound if judges[mode].able else -math.inf
                for other, vouching in self.voices.items()
                if other != mode and vouching.state is _ALIVE and judges[other].able
            ),
            default=math.inf,
        )

    def _shown(self, judges: Mapping[str, Judge]) -> Member | None:
        alive = suspected = False
        for voice in self.voices.values():
            if voice.state is _ALIVE:
                alive = True
            elif voice.state is _SUSPECT:
                suspected |= not voice.overruled
            elif not voice.overruled:
                return None
        reports = {mode: self.voices[mode].report for mode in judges if mode in self.voices}
        return _merged(reports, _ALIVE if alive and not suspected else _SUSPECT) if reports else None

    @property
    def parting(self) -> MemberState:
        """LEFT if some driver heard the member say so, else FAILED."""
        return _LEFT if any(voice.state is _LEFT for voice in self.voices.values()) else _FAILED


def _merged(reports: Mapping[str, Member], state: MemberState) -> Member:
    """One member out of one report per source; what the first one does not know is taken from the next."""
    first = next(iter(reports.values()))
    weight = first
    if len(reports) > 1:
        weight = reports[min(reports, key=lambda mode: (not reports[mode].dynamic_weight, mode != _FIRST_FOR_WEIGHT))]
    return Member(
        service=first.service,
        host=first.host,
        port=first.port,
        scheme=first.scheme,
        root_path=first.root_path,
        weight=weight.weight,
        state=state,
        data=first.data or next((report.data for report in reports.values() if report.data), first.data),
        node=first.node,
        sources=tuple(reports),
        registered_at=next((r.registered_at for r in reports.values() if r.registered_at is not None), None),
        dynamic_weight=weight.dynamic_weight,
    )
