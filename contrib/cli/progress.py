"""How far something is that takes long: shown on a terminal, and nowhere else."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

__all__ = ["progress", "waiting"]


@contextlib.contextmanager
def progress(what: str, steps: int, *, shown: bool = True) -> Iterator[Callable[[], None]]:
    """A bar on the terminal for as long as it takes, which vanishes at the end; to be called for every step.

    Args:
        what: the word before the bar.
        shown: False for whoever prints lines to the same terminal, which the bar would tear.
    """
    screen = Console(stderr=True)
    columns = (TextColumn(what), BarColumn(), TimeRemainingColumn())
    unseen = not (shown and screen.is_terminal)
    with Progress(*columns, console=screen, transient=True, disable=unseen, redirect_stdout=False) as bar:
        task = bar.add_task("", total=steps)
        yield lambda: bar.advance(task)


@contextlib.contextmanager
def waiting(what: str) -> Iterator[None]:
    """A word on a terminal on what is waited for, which vanishes at the end."""
    screen = Console(stderr=True)
    with screen.status(what) if screen.is_terminal else contextlib.nullcontext():
        yield
