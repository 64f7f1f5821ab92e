"""Which rows are shown, and in which order: those that a search finds, sorted, and the first thousand of them."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs

from .ages import registered_at
from .rows import STATES, Row, Service, natural

__all__ = ["MOST_ROWS", "Selected", "Wish"]

MOST_ROWS = 1000

_BADNESS = {state: place for place, state in enumerate(("ejected", "suspect", "trial", "draining", "idle", "up"))}
_MOST_WORDS = 16


def _field(name: str) -> Callable[[Mapping[str, Any]], Any]:
    return operator.itemgetter(name)


def _age(fields: Mapping[str, Any]) -> float | None:
    """So that the youngest comes first."""
    since: float | None = fields["stateSince"]
    return None if since is None else -since


def _uptime(fields: Mapping[str, Any]) -> float | None:
    registered = registered_at(fields)
    return None if registered is None else -registered


_ORDERS: dict[str, Callable[[Mapping[str, Any]], Any]] = {
    "service": _field("svcName"),
    "node": lambda fields: natural(fields["hostname"]),
    "address": lambda fields: natural(fields["baseUrl"]),
    "state": lambda fields: _BADNESS[fields["state"]],
    "age": _age,
    "weight": _field("weight"),
    "sources": lambda fields: "+".join(fields["sources"]),
    "latency": _field("latency"),
    "inflight": _field("inFlight"),
    "uptime": _uptime,
    "build": lambda fields: (fields["goVer"], fields["gddVer"], fields["buildUser"], fields["buildTime"]),
}


@attrs.frozen
class Wish:
    """What somebody wants to see.

    Attributes:
        words: each has to be somewhere in a row.
        state: one of `STATES`, or "" for all of them.
        sort: one of the columns, or "" for the order of the services and addresses.
        descending: the other way round.
        grouped: whether the rows of a service stay together.
    """

    words: tuple[str, ...] = ()
    state: str = ""
    sort: str = ""
    descending: bool = False
    grouped: bool = True

    @classmethod
    def of(cls, query: Mapping[str, str]) -> Wish:
        """What the parameters ask for: ``q``, ``state``, ``sort`` (``-latency``: the slowest first), ``group=0``. What
        they cannot mean is left out.
        """
        sort = query.get("sort", "")
        column = sort.removeprefix("-")
        state = query.get("state", "")
        return cls(
            tuple(query.get("q", "").lower().split()[:_MOST_WORDS]),
            state if state in STATES else "",
            column if column in _ORDERS else "",
            sort.startswith("-") and column in _ORDERS,
            query.get("group", "1") != "0",
        )


@attrs.frozen(eq=False)
class Selected:
    """What is shown.

    Attributes:
        found: how many rows the search finds.
        rows: the first of them, with the service of each.
    """

    found: int
    rows: Sequence[tuple[Service, Row]]

    @classmethod
    def of(cls, services: Sequence[Service], wish: Wish) -> Selected:
        """Those that are wished for."""
        rows = [
            (service, row)
            for service in services
            for row in service.rows
            if (not wish.state or row.fields["state"] == wish.state) and all(word in row.text for word in wish.words)
        ]
        if wish.sort:
            value = _ORDERS[wish.sort]
            known = [pair for pair in rows if value(pair[1].fields) is not None]
            known.sort(key=lambda pair: value(pair[1].fields), reverse=wish.descending)
            rows = known + [pair for pair in rows if value(pair[1].fields) is None]
        if wish.grouped:
            rows.sort(key=lambda pair: (pair[0].name, pair[0].registry))
        return cls(len(rows), rows[:MOST_ROWS])
