"""Writes the table of docs/metrics.md: every metric, its kind and its labels.

python tests/support/metrics_table.py docs/metrics.md
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from pydoudou.contrib.metrics.families import FAMILIES, Family, of_driver
from pydoudou.drivers.memberlist.driver import METRICS as OF_MEMBERLIST
from pydoudou.drivers.nacos.driver import METRICS as OF_NACOS

__all__ = ["every_family", "with_table"]

_HEADING = "## Every metric\n"
_OF_DRIVERS = {"memberlist": OF_MEMBERLIST, "nacos": OF_NACOS}


def every_family() -> Iterator[Family]:
    """All metrics there can be, those of the drivers included."""
    yield from FAMILIES.values()
    for mode, metrics in _OF_DRIVERS.items():
        for metric in metrics:
            yield of_driver(mode, metric)


def with_table(text: str) -> str:
    """The page with its table made anew."""
    before, heading, rest = text.partition(_HEADING)
    about = rest.partition("\n| metric ")[0].strip("\n")
    rows = [
        f"| `{family.name}` | {family.kind} | {', '.join(f'`{label}`' for label in family.labels)} | {family.help} |"
        for family in every_family()
    ]
    head = ["| metric | kind | labels | what |", "|---|---|---|---|"]
    return "\n".join([before + heading, about, "", *head, *rows]) + "\n"


if __name__ == "__main__":
    page = Path(sys.argv[1])
    page.write_text(with_table(page.read_text("utf-8")), "utf-8")
