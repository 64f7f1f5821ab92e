"""What go-doudou's libraries make of a configuration file, and what this library makes of it: every row is a test.

Writes its two tables into docs/settings.md: python tests/support/file_reading.py docs/settings.md
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import attrs

__all__ = ["DOTENV", "ERROR", "YAML", "Row", "with_tables", "without_tables"]

Values = Mapping[str, str]


class _Error:
    """Stands for a text that is refused."""

    def __repr__(self) -> str:
        return "an error"


ERROR = _Error()


@attrs.frozen
class Row:
    """One text.

    Attributes:
        here: None: as go-doudou.
        why: they differ; Markdown.
    """

    form: str
    text: str
    go: Values | _Error
    here: Values | _Error | None = None
    why: str = ""

    @property
    def expected(self) -> Values | _Error:
        """What this library reads."""
        return self.go if self.here is None else self.here


def _dotenv(text: str, go: Values | _Error, here: Values | _Error | None = None, why: str = "") -> Row:
    return Row("dotenv", text, go, here, why)


def _yaml(text: str, go: Values | _Error, here: Values | _Error | None = None, why: str = "") -> Row:
    return Row("yaml", text, go, here, why)


_SILENT = "a mistake is not passed over"

DOTENV = (
    _dotenv("GDD_A=1\n", {"GDD_A": "1"}),
    _dotenv("  GDD_A = 1 \n", {"GDD_A": "1"}),
    _dotenv("export GDD_A=1\n", {"GDD_A": "1"}),
    _dotenv("exportGDD_A=1\n", {"exportGDD_A": "1"}, {}, "only names that begin with `GDD_` are taken"),
    _dotenv("gdd_a=1\n", {"gdd_a": "1"}, {}, "likewise; names are in upper case"),
    _dotenv("GDD_A: 1\n", {"GDD_A": "1"}),
    _dotenv("GDD_A:1\n", {"GDD_A": "1"}),
    _dotenv("GDD_A==1\n", {"GDD_A": "=1"}),
    _dotenv("GDD_A=\nGDD_B=1\n", {"GDD_A": "", "GDD_B": "1"}),
    _dotenv("GDD_A=", {"GDD_A": ""}),
    _dotenv("GDD_A=1\nGDD_A=2\n", {"GDD_A": "2"}),
    _dotenv("GDD_A=1\r\nGDD_B=2\r\n", {"GDD_A": "1", "GDD_B": "2"}),
    _dotenv("\ufeffGDD_A=1\n", ERROR, {"GDD_A": "1"}, "editors on Windows write the mark"),
    _dotenv("# c\nGDD_A=1\n", {"GDD_A": "1"}),
    _dotenv("GDD_A=a b # c\n", {"GDD_A": "a b"}),
    _dotenv("GDD_A=a#b\n", {"GDD_A": "a#b"}),
    _dotenv("GDD_A=#b\n", {"GDD_A": "#b"}),
    _dotenv('GDD_A="a # b" # c\n', {"GDD_A": "a # b"}),
    _dotenv("GDD_A='a # b'\n", {"GDD_A": "a # b"}),
    _dotenv('GDD_A=a"b"\n', {"GDD_A": 'a"b"'}),
    _dotenv('GDD_A=" x "\n', {"GDD_A": " x "}),
    _dotenv('GDD_A="x\ny"\nGDD_B=1\n', {"GDD_A": "x\ny", "GDD_B": "1"}),
    _dotenv("GDD_A='x\ny'\n", {"GDD_A": "x\ny"}),
    _dotenv('GDD_A="x\\ny"\n', {"GDD_A": "x\ny"}),
    _dotenv('GDD_A="x\\ty"\n', {"GDD_A": "xty"}),
    _dotenv("GDD_A=x\\ny\n", {"GDD_A": "x\\ny"}),
    _dotenv('GDD_A="a\\"b"\n', {"GDD_A": 'a"b'}),
    _dotenv('GDD_A="a\\""\n', {"GDD_A": "a\\"}, {"GDD_A": 'a"'}, "an escaped quote at the end is lost there"),
    _dotenv('GDD_A="a\\\\"\n', ERROR, {"GDD_A": "a\\"}, "the backslash itself is escaped: the quote is closed"),
    _dotenv("GDD_A='a\\'b'\n", {"GDD_A": "a\\'b"}),
    _dotenv('GDD_A="x\n', ERROR),
    _dotenv('GDD_A="x" y\nGDD_B=1\n', ERROR),
    _dotenv('GDD_A="x"GDD_B=1\n', {"GDD_A": "x", "GDD_B": "1"}, ERROR, _SILENT),
    _dotenv("GDD_A=1\nGDD_B=$GDD_A\n", {"GDD_A": "1", "GDD_B": "1"}),
    _dotenv(
        "A=1\nGDD_B=${A}\n", {"A": "1", "GDD_B": "1"}, {"GDD_B": "1"}, "names without `GDD_` only stand for others"
    ),
    _dotenv('GDD_A=1\nGDD_B="$GDD_A-${GDD_A}"\n', {"GDD_A": "1", "GDD_B": "1-1"}),
    _dotenv("GDD_B='$GDD_A'\n", {"GDD_B": "$GDD_A"}),
    _dotenv("GDD_B=\\$GDD_A\n", {"GDD_B": "$GDD_A"}),
    _dotenv('GDD_B="\\$GDD_A"\n', {"GDD_B": "$GDD_A"}),
    _dotenv(
        "GDD_B=$A\nA=1\n",
        {"A": "1", "GDD_B": ""},
        ERROR,
        "a part of a password would be lost, or the list of the seeds",
    ),
    _dotenv("GDD_B=x${HOME}y\n", {"GDD_B": "xy"}, ERROR, "likewise; the environment does not count in either"),
    _dotenv("GDD_B=${A:-x}\n", {"GDD_B": ":-x}"}, ERROR, "there are no defaults, and nobody wants this value"),
    _dotenv("A=1\nGDD_B=$(A)\n", {"A": "1", "GDD_B": "1)"}, {"GDD_B": "$(A)"}, "nobody wants this value"),
    _dotenv("GDD_B=cost$5\n", {"GDD_B": "cost"}, {"GDD_B": "cost$5"}, "no name begins with a digit"),
    _dotenv("GDD_B=a$$b\n", {"GDD_B": "a$$b"}),
    _dotenv("GDD_A\nGDD_B=1\n", ERROR),
    _dotenv("GDD_A", {"": "GDD_A"}, ERROR, _SILENT),
    _dotenv("=1\n", {"": "1"}, ERROR, _SILENT),
    _dotenv("GDD_A B=1\n", {"GDD_A B": "1"}, ERROR, _SILENT),
    _dotenv("GDD-A=1\n", ERROR),
)

YAML = (
    _yaml("gdd:\n  port: 8080\n", {"GDD_PORT": "8080"}),
    _yaml("GDD_PORT: 8080\n", {"GDD_PORT": "8080"}),
    _yaml("gdd_mem:\n  port: 1\n", {"GDD_MEM_PORT": "1"}),
    _yaml("gdd:\n  x: 1\ndb:\n  x: 2\n", {"GDD_X": "1", "DB_X": "2"}, {"GDD_X": "1"}, "only `gdd` is ours"),
    _yaml("gdd:\n  mem:\n    dead-timeout: 5s\n", {"GDD_MEM_DEADTIMEOUT": "5s"}),
    _yaml(
        "gdd:\n  mem:\n    seed:\n      - a\n      - b:1\n",
        {"GDD_MEM_SEED_0": "a", "GDD_MEM_SEED_1": "b:1"},
        {"GDD_MEM_SEED": "a,b:1"},
        "nothing reads `GDD_MEM_SEED_0`; lists have commas",
    ),
    _yaml("gdd:\n  x: [1, {z: 2}]\n", {"GDD_X_0": "1", "GDD_X_1_Z": "2"}, ERROR, "likewise"),
    _yaml("gdd:\n  x: 60s\n", {"GDD_X": "60s"}),
    _yaml("gdd:\n  x: 1:30\n", {"GDD_X": "1:30"}),
    _yaml("gdd:\n  x: 'a'\n  z: \"b\\tc\"\n", {"GDD_X": "a", "GDD_Z": "b\tc"}),
    _yaml("gdd:\n  x: $A ${A} # c\n", {"GDD_X": "$A ${A}"}),
    _yaml("gdd:\n  x: yes\n  z: off\n", {"GDD_X": "true", "GDD_Z": "false"}),
    _yaml(
        "gdd:\n  x: 010\n", {"GDD_X": "8"}, {"GDD_X": "010"}, "values stay as written; a number like this is refused"
    ),
    _yaml("gdd:\n  x: 0x10\n", {"GDD_X": "16"}, {"GDD_X": "0x10"}, "likewise; this number is read as 16"),
    _yaml("gdd:\n  x: 1.50\n", {"GDD_X": "1.5"}, {"GDD_X": "1.50"}, "likewise"),
    _yaml(
        "gdd:\n  x: 12345678901234567890\n",
        {"GDD_X": "12345678901234567000"},
        {"GDD_X": "12345678901234567890"},
        "likewise: a password of digits is not rounded",
    ),
    _yaml("gdd:\n  x: 2020-01-01\n", {"GDD_X": "2020-01-01"}),
    _yaml("gdd:\n  x:\n  z: ~\n", {"GDD_X": "", "GDD_Z": ""}),
    _yaml("gdd:\n  x: {}\n", {}),
    _yaml("gdd:\n  x: |\n    a\n    b\n", {"GDD_X": "a\nb\n"}),
    _yaml("# c\n", {}),
    _yaml("gdd:\n  x: 1\n  x: 2\n", {"GDD_X": "2"}, ERROR, _SILENT),
    _yaml("gdd:\n  x-y: 1\n  xy: 1\n", {"GDD_XY": "1"}, ERROR, "likewise: either value may count there"),
    _yaml(
        "gdd:\n  x: &a 1\n  z: *a\n",
        {"GDD_X": "1", "GDD_Z": "1"},
        ERROR,
        "330 bytes of aliases stand for 11 million values",
    ),
    _yaml("gdd:\n  x: !t a\n", {"GDD_X": "a"}, ERROR, _SILENT),
    _yaml("gdd:\n  x: 1\n---\ngdd:\n  x: 2\n", {"GDD_X": "1"}, ERROR, _SILENT),
    _yaml("- gdd\n", ERROR),
    _yaml("gdd\n", ERROR),
    _yaml("gdd:\n\tx: 1\n", ERROR),
)


# -- the manual --------------------------------------------------------------------------------------------------------

_HEAD = "| in the file | go-doudou | here | why |\n|---|---|---|---|\n"
_TABLE = re.compile(re.escape(_HEAD) + r"(?:\|.*\n)*")


def with_tables(text: str) -> str:
    """The page with both tables made anew."""
    tables = iter((DOTENV, YAML))
    return _TABLE.sub(lambda _: _HEAD + "".join(map(_line, next(tables))), text)


def without_tables(text: str) -> str:
    """The page without them: the variables of examples are none."""
    return _TABLE.sub("", text)


def _line(row: Row) -> str:
    here = "the same" if row.here is None else _shown(row.here)
    return f"| {_code(row.text.rstrip(chr(10)))} | {_shown(row.go)} | {here} | {row.why} |\n"


def _shown(values: Values | _Error) -> str:
    if isinstance(values, _Error):
        return "an error"
    return ", ".join(_code(f"{name}={value}") for name, value in values.items()) or "nothing"


def _code(text: str) -> str:
    return f"`{''.join(_visible(text))}`"


def _visible(text: str) -> Iterator[str]:
    for character in text:
        yield {"\n": "⏎", "\r": "␍", "\t": "⇥", "\ufeff": "(BOM)", "|": "\\|"}.get(character, character)


if __name__ == "__main__":
    page = Path(sys.argv[1])
    page.write_text(with_tables(page.read_text("utf-8")), "utf-8")
