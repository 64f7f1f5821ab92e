"""``pydoudou settings``: every variable, its value, where that is from, and what is wrong with it."""

from __future__ import annotations

import sys

import attrs
import click

from ...discovery.configuration.described import Variable, described_reading
from ...discovery.configuration.reading import read
from ...discovery.configuration.sources import DEFAULT
from .joining import loaded
from .output import Column, Output, Row, output_option

__all__ = ["settings"]

_COLUMNS = (Column("variable"), Column("value"), Column("source"), Column("default"), Column("meaning"))


@click.command()
@click.option("--set", "only_set", is_flag=True, help="Only the variables that are set somewhere, and what is wrong.")
@click.option("--look-only", is_flag=True, help="For a process that registers nothing, which needs no service name.")
@click.option(
    "--directory",
    type=click.Path(exists=True, file_okay=False),
    help="Where the files are; else the current folder.",
)
@output_option
def settings(only_set: bool, look_only: bool, directory: str | None, output: Output) -> None:
    """Every variable: its value, its source, its default and its meaning; and what is wrong.

    Read as every command reads them: the environment first, then the files of the current folder. Values that may be
    secret are shown as (set). What a Nacos server says is told by the page of a process that runs. The exit code is 1
    if something is wrong.
    """
    configuration = loaded(directory)
    found = described_reading(read(configuration, register=not look_only))
    shown = [each for each in found if not only_set or each.source != DEFAULT or each.problem]
    wrong = [each for each in shown if each.problem]
    output.table(_COLUMNS, [_row(each) for each in shown])
    if not output.as_json:
        output.say(f"read: the environment, and the files of {configuration.directory}")
        for each in wrong:
            output.say(f"wrong: {each.problem if each.name in each.problem else f'{each.name}: {each.problem}'}", "red")
    sys.exit(1 if wrong else 0)


def _row(variable: Variable) -> Row:
    cells = (variable.name, variable.value, variable.source, variable.default, variable.meaning)
    return Row(cells, attrs.asdict(variable))
