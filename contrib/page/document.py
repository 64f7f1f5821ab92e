"""What the page is told: the registries, the picture of the last minutes, and the rows that were asked for."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs

from ... import __version__
from ...discovery.status import BackendStatus, RegistryStatus
from ...drivers.members import json_value
from .ages import humanised, registered_at
from .rows import STATES, Row, Service, Table
from .selection import MOST_ROWS, Selected, Wish

__all__ = ["Stream", "document"]


def document(table: Table, wish: Wish, notice: str) -> dict[str, Any]:
    """Everything at once: the JSON twin of the page. `index` and `uptime` of a row are go-doudou's."""
    selected = Selected.of(table.services, wish)
    now = time.time()
    rows = []
    for index, (_, row) in enumerate(selected.rows, 1):
        registered = registered_at(row.fields)
        uptime = "" if registered is None else humanised(now - registered)
        rows.append({"index": index, "id": row.number, **row.fields, "uptime": uptime})
    return {**_summary(table, selected, notice), "history": _history(table), "rows": rows}


@attrs.define(eq=False)
class Stream:
    """What one viewer was told so far, and what is new to them."""

    wish: Wish
    _version: int = -1
    _order: Sequence[int] = ()
    _rows: dict[int, Row] = attrs.field(factory=dict)
    _first: bool = True

    def news(self, table: Table, notice: str) -> dict[str, Any] | None:
        """What has changed since the last call; None for nothing. An ``order`` that is missing is the last one."""
        if table.version == self._version:
            return None
        self._version = table.version
        selected = Selected.of(table.services, self.wish)
        rows = {row.number: row for _, row in selected.rows}
        order = list(rows)
        told = _summary(table, selected, notice)
        told["rows"] = [
            {"id": number, **row.fields} for number, row in rows.items() if self._rows.get(number) is not row
        ]
        if order != self._order:
            told["order"] = order
        if self._first:
            told["history"] = _history(table)
        self._order, self._rows, self._first = order, rows, False
        return told


def _summary(table: Table, selected: Selected, notice: str) -> dict[str, Any]:
    return {
        "version": __version__,
        "now": round(time.time(), 1),
        "notice": notice,
        "registries": [_registry(name, status) for name, status in table.status.items()],
        "counts": dict(table.counts),
        "total": sum(table.counts.values()),
        "found": selected.found,
        "most": MOST_ROWS,
        "services": _services(table.services, selected),
    }


def _services(services: Iterable[Service], selected: Selected) -> list[dict[str, Any]]:
    """Those whose rows are shown, with what concerns all of their members."""
    shown = {service for service, _ in selected.rows}
    return [
        {
            "registry": service.registry,
            "name": json_value(service.name),
            "members": len(service.rows),
            "up": sum(row.fields["state"] == "up" for row in service.rows),
            "stale": service.snapshot.stale,
            "call": json_value(service.call),
        }
        for service in services
        if service in shown
    ]


def _history(table: Table) -> dict[str, Any]:
    return {"states": STATES, "points": table.history}


def _registry(name: str, status: RegistryStatus) -> dict[str, Any]:
    return {
        "name": name,
        "running": status.running,
        "ready": status.ready,
        "presence": status.presence,
        "doubt": json_value(status.doubt),
        "services": status.services,
        "members": status.members,
        "stale": len(status.stale),
        "backends": [_backend(backend) for backend in status.backends],
        "configuration": None if status.configuration is None else json_value(status.configuration.to_dict()),
    }


def _backend(backend: BackendStatus) -> dict[str, Any]:
    """Without the counters: they change with every datagram, and are for Prometheus."""
    driver = backend.driver
    health: Mapping[str, float] = {name: value for name, value in driver.gauges.items() if name == "health_score"}
    told = {
        "mode": backend.mode,
        "ready": backend.ready,
        "running": backend.running,
        "authoritative": backend.authoritative,
        "reason": backend.reason,
        "error": backend.error,
        "restarts": backend.restarts,
        "message": driver.message,
        "nodes": driver.nodes,
        "address": driver.address,
        "healthScore": health.get("health_score"),
    }
    fields: dict[str, Any] = json_value(told)
    return fields
