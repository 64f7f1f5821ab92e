"""Writes the tables of docs/settings.md: every variable, its default, its type and its meaning.

python tests/support/settings_table.py docs/settings.md
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from pathlib import Path

from pydoudou.discovery.configuration.variables import VARIABLES as OF_THE_REGISTRY
from pydoudou.drivers.documented import Documented
from pydoudou.drivers.memberlist.variables import DYNAMIC
from pydoudou.drivers.memberlist.variables import VARIABLES as OF_MEMBERLIST
from pydoudou.drivers.nacos.variables import VARIABLES as OF_NACOS
from pydoudou.drivers.static.variables import VARIABLES as OF_STATIC

__all__ = ["TABLES", "with_tables"]

TABLES = (OF_THE_REGISTRY, OF_MEMBERLIST, DYNAMIC, OF_NACOS, OF_STATIC)
"""The tables in the order of the page."""

_TABLE = re.compile(r"^\| variable \| default \| type \| meaning \|\n\|[-|]*\|\n(?:\|.*\n)*", re.MULTILINE)


def with_tables(text: str) -> str:
    """The page with its tables made anew."""
    tables = iter(TABLES)
    made = _TABLE.sub(lambda _: _table(next(tables)), text)
    if next(tables, None) is not None:
        raise ValueError("the page has fewer tables than there are")
    return made


def _table(variables: Iterable[Documented]) -> str:
    head = "| variable | default | type | meaning |\n|---|---|---|---|\n"
    return head + "".join(f"| `{each.name}` | {each.default} | {each.type} | {each.meaning} |\n" for each in variables)


if __name__ == "__main__":
    page = Path(sys.argv[1])
    page.write_text(with_tables(page.read_text("utf-8")), "utf-8")
