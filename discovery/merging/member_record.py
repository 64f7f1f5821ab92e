"""What the drivers report of one member, and what follows from it.

A driver's *report* of a member is made of one entry per process: two workers behind one address are one member to the
world, and the death of the first says nothing while the second lives.

*Bad news* is a report that turned SUSPECT, FAILED or LEFT. It has a date, and it is in force until it expires:

- The driver itself reports the member ALIVE: at once.
- Another driver, which is authoritative, lists the member as ALIVE: as soon as that one would have noticed the same
  failure by itself, its detection bound after the date, or after it became authoritative, whichever is later. (Without
  the latter, a Nacos server that comes back would confirm a process that died while it was down.) At once, if the
  driver with the bad news is not authoritative any more.

What has expired stays so. FAILED after SUSPECT is the same news, a suspicion whose time ran out, and gets no new date;
LEFT is news, because it comes from the member itself.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import attrs

from ...drivers.members import Member, MemberState

__all__ = ["MemberRecord", "SourceHealth", "SourceReport"]

_ALIVE, _SUSPECT, _FAILED, _LEFT = MemberState.ALIVE, MemberState.SUSPECT, MemberState.FAILED, MemberState.LEFT


@attrs.define(eq=False, repr=False)
class SourceHealth:
    """One driver: whether it is authoritative at present, why not, since when it is, and how long it needs to notice.

    Attributes:
        detection_bound: seconds; `math.inf` for a driver that notices nothing by itself.
    """

    detection_bound: float
    authoritative: bool = True
    reason: str = ""
    since: float = -math.inf


@attrs.define(eq=False, repr=False)
class SourceReport:
    """What one driver reports of one member.

    Attributes:
        processes: the reports ALIVE and SUSPECT, by the backend's name for the process; the latest process is last.
        state: the best of them, or the state in which the last process went.
        since: the date of the bad news.
        expired: whether the bad news is not in force any more.
    """

    processes: dict[str, Member] = attrs.Factory(dict)
    state: MemberState | None = None
    since: float = -math.inf
    expired: bool = False

    def take(self, report: Member, now: float, authoritative_since: float) -> None:
        """Take in a report; FAILED or LEFT about a process that was never reported is no news."""
        if report.state is _ALIVE or report.state is _SUSPECT:
            self.processes[report.node] = report
        elif self.processes.pop(report.node, None) is None:
            return
        before, self.state = self.state, self._best(report.state)
        if self.state is _ALIVE:
            self.expired = False
        elif before is not _SUSPECT or self.state is _LEFT or self.since < authoritative_since:
            self.since, self.expired = now, False

    def _best(self, latest: MemberState) -> MemberState:
        if latest is _ALIVE or not self.processes:
            return latest
        return _ALIVE if any(report.state is _ALIVE for report in self.processes.values()) else _SUSPECT

    @property
    def member(self) -> Member:
        """The report to go by: of the best ones, that of the latest process."""
        return next(report for report in reversed(self.processes.values()) if report.state is self.state)


@attrs.define(eq=False, repr=False)
class MemberRecord:
    """Everything that is reported of one member, by mode."""

    reports: dict[str, SourceReport] = attrs.Factory(dict)

    @property
    def empty(self) -> bool:
        """Whether no driver has the member any more."""
        return not any(report.processes for report in self.reports.values())

    @property
    def bad_news(self) -> bool:
        """Whether bad news of some driver is in force."""
        return any(report.state is not _ALIVE and not report.expired for report in self.reports.values())

    def take(self, mode: str, report: Member, now: float, authoritative_since: float) -> None:
        """Take in what the driver of `mode` reports."""
        of_source = self.reports.get(mode)
        if of_source is None:
            of_source = SourceReport()
        of_source.take(report, now, authoritative_since)
        if of_source.processes or (of_source.state is not None and not of_source.expired):
            self.reports[mode] = of_source
        else:
            self.reports.pop(mode, None)

    def settle(self, sources: Mapping[str, SourceHealth], now: float) -> tuple[Member | None, float]:
        """The member as the view shows it, None if it is gone, and when to ask again although nothing was reported."""
        again = math.inf
        for mode, report in tuple(self.reports.items()):
            if report.state is _ALIVE or report.expired:
                continue
            until = self._in_force_until(mode, report, sources)
            if until > now:
                again = min(again, until)
                continue
            report.expired = True
            if not report.processes:
                del self.reports[mode]
        return self._shown(sources), again

    def _in_force_until(self, mode: str, report: SourceReport, sources: Mapping[str, SourceHealth]) -> float:
        listing = [
            sources[other]
            for other, theirs in self.reports.items()
            if other != mode and theirs.state is _ALIVE and sources[other].authoritative
        ]
        if listing and not sources[mode].authoritative:
            return -math.inf
        return min((max(report.since, other.since) + other.detection_bound for other in listing), default=math.inf)

    def _shown(self, sources: Mapping[str, SourceHealth]) -> Member | None:
        alive = suspected = False
        for report in self.reports.values():
            if report.state is _ALIVE:
                alive = True
            elif report.state is _SUSPECT:
                suspected |= not report.expired
            elif not report.expired:
                return None
        members = {mode: self.reports[mode].member for mode in sources if mode in self.reports}
        return _merged(members, _ALIVE if alive and not suspected else _SUSPECT) if members else None

    @property
    def last_state(self) -> MemberState:
        """The state of a member that is gone: LEFT if some driver heard the member say so, else FAILED."""
        return _LEFT if any(report.state is _LEFT for report in self.reports.values()) else _FAILED


def _merged(reports: Mapping[str, Member], state: MemberState) -> Member:
    """One member out of one report per source; what the first one does not know is taken from the next.

    Its weight is a measured one, else one that the service announced of itself, else the first source's: the record of
    a server may have been edited by somebody else.
    """
    first = next(iter(reports.values()))
    weight = first
    if len(reports) > 1:
        weight = min(reports.values(), key=lambda report: (not report.dynamic_weight, not report.announced_weight))
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
        sources=_sources(reports),
        registered_at=next((r.registered_at for r in reports.values() if r.registered_at is not None), None),
        dynamic_weight=weight.dynamic_weight,
        announced_weight=weight.announced_weight,
        process=first.process or next((report.process for report in reports.values() if report.process), first.process),
    )


def _sources(reports: Mapping[str, Member]) -> tuple[str, ...]:
    """The modes that report it; of a driver that passes on what another registry found, those that did there."""
    return tuple(dict.fromkeys(name for mode, report in reports.items() for name in report.sources or (mode,)))
