"""What the demo shows: a live table on a terminal, plain lines anywhere else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.live import Live
from rich.table import Table

from .output import Column, Output, Row

if TYPE_CHECKING:
    from .demo import Tally

__all__ = ["Screen"]

_STYLES = {"alive": "green", "suspect": "yellow", "gone": "red"}
_SUMMARY = (
    *(Column("member"), Column("weight", right=True), Column("calls", right=True)),
    *(Column("share, weighted random", right=True), Column("share, round robin", right=True)),
)


class Screen:
    """Shows the members and the calls of a `Tally`; `say` adds a line that stays. With JSON that goes to standard
    error, and the summary alone to standard output.
    """

    def __init__(self, tally: Tally, *, as_json: bool) -> None:
        self._tally = tally
        self._console = Console(stderr=as_json)
        self._output = Output(as_json=as_json)
        self._members: Callable[[], Mapping[str, str]] = dict
        shown = self._output.terminal
        self._live = Live(console=self._console, get_renderable=self._table) if shown else None

    def __enter__(self) -> Screen:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def watch(self, members: Callable[[], Mapping[str, str]]) -> None:
        """Where the states come from: member name to state."""
        self._members = members

    def say(self, line: str) -> None:
        """One line that stays on the screen."""
        self._console.print(line, highlight=False, soft_wrap=True)

    def _table(self) -> Table:
        states = self._members()
        title = f"{self._tally.calls} calls, {len(self._tally.errors)} failed"
        table = Table("member", "state", "weight", "calls", title=title)
        for name, calls, weight in self._tally.rows():
            state = states.get(name, "gone")
            table.add_row(name, f"[{_STYLES[state]}]{state}[/]", str(weight), str(calls))
        return table

    def summary(self, summary: Mapping[str, Any]) -> None:
        """The end of the play."""
        if self._output.as_json:
            self._output.json(summary)
            return
        rows = [
            Row(
                (name, f"{row['weight']}", f"{row['calls']}", f"{row['share']:.1%}", f"{row['round_robin_share']:.1%}"),
                row,
            )
            for name, row in summary["by_member"].items()
        ]
        self._output.table(_SUMMARY, rows, "Summary")
        for what in ("clients", "balancers"):
            self.say(f"{what}: " + ", ".join(f"{name} {count}" for name, count in summary[what].items()))
        self.say(
            f"{summary['calls']} calls, {summary['failed']} failed; the killed member was withdrawn after "
            f"{summary['withdrawn_after_s']:.2f} s, the leaving one was gone after {summary['left_after_s']:.2f} s"
        )
