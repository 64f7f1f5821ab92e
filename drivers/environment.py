"""The one reader of environment variables: typed, lenient about spelling, strict about values.

go-doudou replaces a bad value silently by its default. Here every bad value is collected, and `Environment.check`
raises one `SettingsError` that names each variable, its value and what would be accepted. An empty variable counts
as unset, as in go-doudou; whole numbers may be written in Go's base prefixes (``0x10``); durations are Go's
(``1m30s``, ``500ms``) or a bare number in the unit that go-doudou gives to that variable.
"""

from __future__ import annotations

import enum
import math
import re
from collections.abc import Callable, Mapping
from typing import TypeVar

import attrs

from .errors import SettingsError
from .kit.validation import printable

__all__ = ["Environment", "Problem", "is_filled_in", "parse_duration"]

E = TypeVar("E", bound=enum.Enum)

_DURATION_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION_PART = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)")
_UTF8 = "text in UTF-8"
_SHORTEST, _LONGEST = 1e-3, 10 * 365 * 24 * 3600.0
_TRUE = frozenset({"1", "t", "true"})
_FALSE = frozenset({"0", "f", "false"})


def parse_duration(text: str, bare_unit: float) -> float:
    """Seconds of a Go duration such as ``1h15m30.5s``; a bare number counts in `bare_unit` seconds.

    Raises:
        ValueError: `text` is neither.
    """
    body, sign = (text[1:], -1.0) if text.startswith("-") else (text.removeprefix("+"), 1.0)
    if re.fullmatch(r"\d+(\.\d*)?|\.\d+", body):
        return sign * float(body) * bare_unit
    parts = list(_DURATION_PART.finditer(body))
    if not parts or "".join(part.group() for part in parts) != body:
        raise ValueError(f"not a duration: {printable(text)}")
    return sign * sum(float(part.group(1)) * _DURATION_UNITS[part.group(2)] for part in parts)


_NOT_FILLED_IN = re.compile(r"""(["']).*\1|.*(?:\$[({]|\{\{).*""", re.DOTALL)


def is_filled_in(text: str) -> bool:
    """Whether a name or a path is one, and has not the quotes of a file of variables, which Docker leaves where they
    are, nor a placeholder such as ``${POD_NAME}``, ``$(POD_NAME)`` or ``{{ name }}``.
    """
    return not _NOT_FILLED_IN.fullmatch(text)


@attrs.frozen
class Problem:
    """One variable that cannot be used.

    Attributes:
        source: the file that has it; "" for the environment.
    """

    name: str
    value: str | None
    accepted: str
    source: str = ""

    def __str__(self) -> str:
        name = self.name if self.name.isprintable() else ascii(self.name)
        value = "is not set" if self.value is None else f"is {printable(self.value)}"
        where = f" in {self.source}" if self.source else ""
        return f"{name} {value}{where}; accepted: {self.accepted}"


class Environment:
    """Typed reads of a mapping of variables; bad values are collected in `problems`.

    Every read returns its default for a bad value, so that reading goes on and all problems come out together.

    Args:
        source_of: where the value of a variable was found, to be told with what is wrong with it; "" needs no telling.
        in_code: whether the program itself has said it, and not the environment, a file or a server.
    """

    def __init__(
        self,
        variables: Mapping[str, str],
        source_of: Callable[[str], str] = lambda _: "",
        in_code: Callable[[str], bool] = lambda _: False,
    ) -> None:
        self._variables = variables
        self._source_of = source_of
        self.in_code = in_code
        self.problems: list[Problem] = []
        self._asked_for: set[str] = set()
        self._prefixes: set[str] = set()

    def problem(self, name: str, accepted: str, value: str | None = None) -> None:
        """Record that the variable `name` is unusable; `value` defaults to what it holds."""
        held = value if value is not None else self._variables.get(name)
        problem = Problem(name, held, accepted, self._source_of(name))
        unreadable = any(each.name == name and each.accepted == _UTF8 for each in self.problems)
        if problem not in self.problems and not unreadable:
            self.problems.append(problem)

    def check(self) -> None:
        """Raise one `SettingsError` for everything found so far, or return."""
        if self.problems:
            lines = "\n".join(f"  - {problem}" for problem in self.problems)
            count = len(self.problems)
            error = SettingsError(f"{count} setting{'s' if count > 1 else ''} cannot be used:\n{lines}")
            error.problems = tuple(self.problems)
            raise error

    @property
    def known(self) -> frozenset[str]:
        """The names of all variables that were asked for so far."""
        return frozenset(self._asked_for)

    def unknown(self, prefix: str) -> list[str]:
        """The variables that begin with `prefix`, are not empty, and were not asked for, sorted."""
        prefixes = tuple(self._prefixes)
        return sorted(
            name
            for name, value in self._variables.items()
            if name.startswith(prefix)
            and value.strip()
            and name not in self._asked_for
            and not (prefixes and name.startswith(prefixes))
        )

    def __contains__(self, name: str) -> bool:
        """Whether the variable is there, empty or not."""
        return name in self._variables

    def names(self, prefix: str) -> list[str]:
        """The variables that begin with `prefix` and are not empty, sorted."""
        self._prefixes.add(prefix)
        return sorted(name for name, value in self._variables.items() if name.startswith(prefix) and value.strip())

    def text(self, name: str, default: str = "") -> str:
        """The variable without surrounding blanks; `default` when unset or empty."""
        return self._unicode(name).strip() or default

    def items(self, name: str) -> tuple[str, ...]:
        """A comma list: items trimmed, empty ones dropped, repeated ones kept once, in order."""
        parts = (part.strip() for part in self._unicode(name).split(","))
        return tuple(dict.fromkeys(part for part in parts if part))

    def _unicode(self, name: str) -> str:
        """The variable as it stands; "" for bytes that are not UTF-8, which Python hands on as surrogates."""
        self._asked_for.add(name)
        text = self._variables.get(name, "")
        try:
            text.encode()
        except UnicodeEncodeError:
            self.problem(name, _UTF8, "(bytes that are not)")
            return ""
        return text

    def integer(self, name: str, default: int, *, least: int, most: int) -> int:
        """A whole number from `least` to `most`."""
        text = self.text(name)
        if not text:
            return default
        try:
            value = int(text, 0)
        except ValueError:
            value = least - 1
        if least <= value <= most:
            return value
        self.problem(name, f"a whole number from {least} to {most}")
        return default

    def number(self, name: str, default: float, *, least: float, most: float) -> float:
        """A number from `least` to `most`."""
        text = self.text(name)
        if not text:
            return default
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if least <= value <= most:
            return value
        self.problem(name, f"a number from {least:g} to {most:g}")
        return default

    def duration(self, name: str, default: float, *, bare_unit: float = 1.0, positive: bool = True) -> float:
        """A duration in seconds, from a millisecond to ten years; without `positive`, zero too."""
        text = self.text(name)
        if not text:
            return default
        try:
            value = parse_duration(text, bare_unit)
        except ValueError:
            value = -1.0
        if _SHORTEST <= value <= _LONGEST or (value == 0 and not positive):
            return value
        unit = "seconds" if bare_unit == 1.0 else "milliseconds"
        least = "from 1ms" if positive else "of 0 or from 1ms"
        self.problem(name, f"a duration {least} to ten years, such as 500ms, 5s or 1m30s (a bare number counts {unit})")
        return default

    def flag(self, name: str, default: bool) -> bool:
        """A truth value in Go's spellings: 1, t, true, 0, f, false."""
        text = self.text(name).lower()
        if not text:
            return default
        if text in _TRUE or text in _FALSE:
            return text in _TRUE
        self.problem(name, "true or false (or 1, t, 0, f)")
        return default

    def choice(self, name: str, default: E) -> E:
        """One value of the enumeration that `default` belongs to, in any case."""
        text = self.text(name).lower()
        if not text:
            return default
        for value in type(default):
            if value.value == text:
                return value
        self.problem(name, "one of " + ", ".join(str(value.value) for value in type(default)))
        return default
