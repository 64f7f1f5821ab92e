"""A table of the processes, the members that bff sees, and the calls it makes, as long as the system runs."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from .parts import HOST, get

if TYPE_CHECKING:
    from .topology import System

__all__ = ["watch"]

_EVERY = 1.0
_WATCHES = ("jaeger", "alertmanager", "prometheus")


def watch(system: System, console: Console) -> None:
    """Until Ctrl-C. What ends by itself is started again."""
    console.print(f"the page: {system.url}  (jackchen / 1234)")
    console.print(f"the registry: {system.url}go-doudou/registry  (admin / admin)")
    for part in system.parts:
        if part.name in _WATCHES:
            console.print(f"{part.name}: http://{HOST}:{part.port}/")
    console.print("Ctrl-C stops everything")
    with contextlib.ExitStack() as stack:
        live = stack.enter_context(Live(console=console, auto_refresh=False)) if console.is_terminal else None
        while True:
            for part in system.parts:
                part.keep_running()
            if live is not None:
                live.update(_tables(system), refresh=True)
            time.sleep(_EVERY)


def _tables(system: System) -> Group:
    processes = Table("process", "pid", "port", "state", title="processes")
    for part in system.parts:
        state = Text("runs", "green") if part.runs else Text("ended, is started again", "red")
        if part.starts > 1:
            state.append(f", start {part.starts}", "yellow")
        pid = str(part.process.pid) if part.process is not None and part.runs else ""
        processes.add_row(part.name, pid, str(part.port or ""), state)
    members: dict[str, int] = {}
    calls: dict[str, dict[str, float]] = {}
    with contextlib.suppress(OSError, ValueError, KeyError):
        members, calls = system.members(), _calls(system)
    seen = Table("service", "members", "calls", "failed", title="as bff sees it")
    for service in sorted(members.keys() | calls.keys()):
        outcomes = calls.get(service, {})
        failed = sum(count for outcome, count in outcomes.items() if outcome not in ("2xx", "3xx", "4xx"))
        seen.add_row(service, str(members.get(service, 0)), f"{sum(outcomes.values()):.0f}", f"{failed:.0f}")
    return Group(processes, seen)


def _calls(system: System) -> dict[str, dict[str, float]]:
    """Of each service, how many calls ended how."""
    found: dict[str, dict[str, float]] = {}
    for family in text_string_to_metric_families(get(f"{system.url}go-doudou/prometheus")):
        for sample in family.samples:
            if sample.name == "pydoudou_calls_total":
                found.setdefault(sample.labels["service"], {})[sample.labels["outcome"]] = sample.value
    return found
