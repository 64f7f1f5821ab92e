"""Prints, at the end of a run, what the tests recorded as properties: figures, and what was compared with Go nodes.

For the topmost `conftest.py`: of several processes that share the tests, the one that prints reads only that file.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

__all__ = ["print_figures"]

_TITLES = {
    "measured": "simulation: measured next to what the papers say",
    "figures": "measured against real peers",
}


def print_figures(terminalreporter: Any) -> None:
    """Print a section for each kind of property."""
    recorded: dict[str, list[Any]] = {}
    for report in terminalreporter.stats.get("passed", ()):
        for name, value in report.user_properties:
            recorded.setdefault(name, []).append(value)
    sections = {title: map(str, recorded.get(name, ())) for name, title in _TITLES.items()}
    sections["captured from real Go nodes"] = _captured(recorded)
    for title, lines in sections.items():
        lines = list(lines)
        if lines:
            terminalreporter.section(title)
            for line in lines:
                terminalreporter.line(line)


def _captured(recorded: dict[str, list[Any]]) -> Iterator[str]:
    for count, kinds, differently in recorded.get("kinds", ()):
        exact = f"all but {', '.join(differently)}" if differently else "all"
        yield f"{count} packets and streams, {len(kinds)} kinds: {', '.join(kinds)}"
        yield f"written again byte for byte, encrypted ones with the captured nonce: {exact}"
    for count, harder in recorded.get("hostile", ()):
        same = count - len(harder)
        yield f"{count} hostile inputs: {same} with Go's outcome, {len(harder)} with a stricter one:"
        for name, reason in harder.items():
            yield f"  {name}: {reason}"
