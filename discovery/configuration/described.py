"""Every variable as an operator asks about it: what it is, what it means, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, cast

import attrs

from ...drivers.contract import DescribingPlugin
from ...drivers.documented import Documented
from .reading import Reading, read
from .sources import DEFAULT
from .variables import VARIABLES

if TYPE_CHECKING:
    from ..settings import Settings

__all__ = ["SET", "Variable", "described", "described_reading", "unknown"]

SET = "(set)"
"""What stands for a value that is not shown."""


@attrs.frozen
class Variable:
    """One variable.

    Attributes:
        value: the one that counts, as text; `SET` for one that is set and not declared to be fit for showing.
        source: ``environment``, ``code``, the name of a file, ``nacos`` and a data id, or ``default``.
        default: what holds if it is unset; "" for nothing.
        meaning: in plain text; "" for a variable of a driver that does not describe its own.
        secret: whether the value is hidden.
        problem: what is wrong with it, and what is accepted; "" for nothing.
    """

    name: str
    value: str
    source: str
    default: str
    meaning: str
    secret: bool
    problem: str


def described(settings: Settings) -> list[Variable]:
    """Every variable that these settings were read from or could have been, in the order of the manual; after them
    those that are set and that nobody reads.

    Settings whose drivers were given in code, as tests do, have no variables.
    """
    if not settings.configuration.sources:
        return []
    return described_reading(read(settings.configuration, register=settings.register))


def described_reading(reading: Reading) -> list[Variable]:
    """The same for what was read, with everything that is wrong with it."""
    return [*_known(reading), *unknown(reading)]


def unknown(reading: Reading) -> list[Variable]:
    """The variables that are set and that nobody reads; one without a problem is meant for somebody else."""
    configuration = reading.configuration
    found: list[Variable] = []
    for name, near in reading.unknown().items():
        problem = "" if near is None else "no variable of this library, and without effect"
        meaning = "not used in this mode" if near is None else ""
        hint = f": did you mean {near}?" if near else ""
        found.append(Variable(name, SET, configuration.source_of(name), "", meaning, True, problem + hint))
    return found


def _known(reading: Reading) -> Iterator[Variable]:
    documented = [*VARIABLES, *_of_plugins(reading)]
    asked = reading.environment.known
    problems: dict[str, list[str]] = {}
    for problem in reading.environment.problems:
        problems.setdefault(problem.name, []).append(str(problem))
    told: set[str] = set()
    for row in documented:
        for name in _names(row, reading):
            if name not in told:
                told.add(name)
                yield _variable(name, row, reading, problems.get(name, ()))
    for name in sorted(asked | problems.keys() - told):
        if name not in told:
            row = Documented(name, "–", "text", "", secret=True)
            yield _variable(name, row, reading, problems.get(name, ()))


def _of_plugins(reading: Reading) -> Iterable[Documented]:
    for plugin in reading.plugins.values():
        if hasattr(plugin, "documented"):
            yield from cast(DescribingPlugin, plugin).documented


def _names(row: Documented, reading: Reading) -> list[str]:
    """The variables that a row is about and that this process reads, or could."""
    if "<" in row.name:
        return sorted(name for name in reading.values if row.covers(name) and reading.values[name].strip())
    return [row.name] if reading.concerns(row.name) else []


def _variable(name: str, row: Documented, reading: Reading, problems: Sequence[str]) -> Variable:
    source = reading.configuration.source_of(name)
    value = reading.values.get(name, "").strip()
    if source == DEFAULT:
        value = row.plain_default
    elif row.secret or any("(hidden)" in problem for problem in problems):
        value = SET
    return Variable(
        name=name,
        value=value.encode(errors="backslashreplace").decode(),
        source=source,
        default=row.plain_default,
        meaning=row.plain_meaning,
        secret=row.secret,
        problem="; ".join(problem.replace(reading.values[name], SET) for problem in problems)
        if row.secret and reading.values.get(name)
        else "; ".join(problems),
    )
