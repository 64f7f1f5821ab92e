"""How commands show what they found: tables on a terminal, plain lines elsewhere, JSON when asked for.

What others say of themselves reaches the terminal as text only: what cannot be printed is escaped, and nothing is taken
for rich's markup.
"""

from __future__ import annotations

import contextlib
import functools
import json
import select
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import attrs
import click
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ...drivers.kit.validation import escaped

__all__ = ["Column", "Output", "Row", "output_option"]

_STYLES = {
    **dict.fromkeys(("alive", "ready", "joined", "in"), "green"),
    **dict.fromkeys(("suspect", "updated", "on trial", "weight 0"), "yellow"),
    **dict.fromkeys(("dead", "failed", "left", "not ready", "ejected"), "red"),
}
"""Words that have a colour wherever they are a cell of their own."""
_BORDERS = 3
_LEAST_COLUMNS = 2
_LOOK_AT_READER = 0.5


@attrs.frozen
class Column:
    """One column; those on the right are left out where a terminal is too narrow for all."""

    heading: str
    right: bool = False


@attrs.frozen
class Row:
    """One row: what people read, and what programs do."""

    cells: Sequence[str]
    fields: Mapping[str, Any]


class Output:
    """What one command shows, and how.

    Attributes:
        as_json: whether every row is a JSON object on a line of its own.
        terminal: whether a person looks at it; never with `as_json`.
        on_terminal: whether it goes to a terminal, with `as_json` too.
    """

    def __init__(self, *, as_json: bool = False) -> None:
        self._console = Console(highlight=False)
        self.as_json = as_json
        self.on_terminal = self._console.is_terminal
        self.terminal = self.on_terminal and not as_json

    def table(self, columns: Sequence[Column], rows: Sequence[Row], title: str = "") -> None:
        """Show all rows."""
        if self.as_json:
            for row in rows:
                self.json(row.fields)
        elif self.terminal:
            self._console.print(self._table(columns, rows, title))
        else:
            lines = [[column.heading for column in columns], *([escaped(cell) for cell in row.cells] for row in rows)]
            widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
            for line in lines:
                self._print("  ".join(map(_padded, line, widths, columns)).rstrip())

    def json(self, fields: Mapping[str, Any]) -> None:
        """One JSON object on a line of its own."""
        self._print(json.dumps(fields))

    def say(self, text: str, style: str = "") -> None:
        """A line for people; it is as long as it is."""
        if self.terminal:
            self._console.print(Text(escaped(text, 2000), style), soft_wrap=True)
        else:
            self._print(escaped(text, 2000))

    def event(self, cells: Sequence[str], fields: Mapping[str, Any]) -> None:
        """A line of a stream."""
        if self.as_json:
            self.json(fields)
        elif self.terminal:
            self._console.print(Text("  ").join(map(_text, cells)), soft_wrap=True)
        else:
            self._print("  ".join(map(escaped, cells)).rstrip())

    @contextlib.contextmanager
    def live(self, columns: Sequence[Column], rows: Callable[[], Sequence[Row]], title: str) -> Iterator[None]:
        """Meanwhile, show on a terminal what the rows are at the moment."""
        with Live(get_renderable=lambda: self._fitting(columns, rows(), title), console=self._console):
            yield

    @contextlib.contextmanager
    def until_closed(self, end: Callable[[], None]) -> Iterator[None]:
        """Meanwhile, have `end` called once if whoever reads our output is gone: an event that would tell us by a
        broken pipe may never come.
        """
        over = threading.Event()

        def look() -> None:
            with contextlib.suppress(OSError, ValueError):  # it is no file that can be waited for
                reader = select.poll()
                reader.register(sys.stdout.fileno(), 0)
                while not over.is_set():
                    if reader.poll(_LOOK_AT_READER * 1000):
                        end()
                        return

        threading.Thread(target=look, daemon=True).start()
        try:
            yield
        finally:
            over.set()

    def _print(self, line: str) -> None:
        print(line, flush=True)

    def _fitting(self, columns: Sequence[Column], rows: Sequence[Row], title: str) -> Table:
        """As many rows as the terminal is high, with a word on the others."""
        room = max(1, self._console.height - 6)
        table = self._table(columns, rows[:room], title)
        if len(rows) > room:
            table.caption = f"and {len(rows) - room} more"
        return table

    def _table(self, columns: Sequence[Column], rows: Sequence[Row], title: str) -> Table:
        texts = [list(map(_text, row.cells)) for row in rows]
        headed = [[Text(column.heading) for column in columns], *texts]
        widths = [max(text.cell_len for text in cells) for cells in zip(*headed, strict=True)]
        shown = len(columns)
        while shown > _LEAST_COLUMNS and sum(widths[:shown]) + _BORDERS * shown + 1 > self._console.width:
            shown -= 1
        table = Table(title=Text(escaped(title)) if title else None)
        for column in columns[:shown]:
            table.add_column(column.heading, justify="right" if column.right else "left", overflow="fold")
        for cells in texts:
            table.add_row(*cells[:shown])
        return table


def _text(cell: str) -> Text:
    return Text(escaped(cell), _STYLES.get(cell, ""))


def _padded(cell: str, width: int, column: Column) -> str:
    return cell.rjust(width) if column.right else cell.ljust(width)


def output_option(command: Callable[..., None]) -> Callable[..., None]:
    """Adds ``--json``; the command takes an `Output` as `output`."""

    @click.option("--json", "as_json", is_flag=True, help="JSON: one object for each row, on a line of its own.")
    @functools.wraps(command)
    def shown(*arguments: object, as_json: bool, **options: object) -> None:
        command(*arguments, output=Output(as_json=as_json), **options)

    return shown
