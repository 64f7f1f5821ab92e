"""Prints where a run's time went: by folder, and the slowest files.

    python -m pytest --junitxml=report.xml && python tests/support/suite_times.py report.xml

The times are those of the tests with their fixtures. Where several processes share the tests, a run takes a part of the
sum.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from xml.etree import ElementTree

import attrs

__all__ = ["Spent", "read", "table"]

_SLOWEST = 15


@attrs.define
class Spent:
    """What some tests took.

    Attributes:
        seconds: all of them together.
        tests: how many.
        slowest: seconds of the slowest one.
    """

    seconds: float = 0.0
    tests: int = 0
    slowest: float = 0.0

    def add(self, seconds: float) -> None:
        """Count one test more."""
        self.seconds += seconds
        self.tests += 1
        self.slowest = max(self.slowest, seconds)


def read(reports: Iterable[Path]) -> dict[str, Spent]:
    """What each file of tests took, by its path, in reports of pytest's in JUnit's format."""
    files: dict[str, Spent] = {}
    for report in reports:
        for case in ElementTree.parse(report).iter("testcase"):
            # ``tests.unit.test_waiting`` or ``tests.unit.test_watch.TestEvents``: the file's path, and the class.
            parts = case.get("classname", "").split(".")
            end = next((number for number, part in enumerate(parts, 1) if part.startswith("test_")), len(parts))
            files.setdefault("/".join(parts[:end]), Spent()).add(float(case.get("time", "0")))
    return files


def table(files: dict[str, Spent]) -> Iterator[str]:
    """The lines of the tables: every folder, then the slowest files, each with its slowest test."""
    folders: dict[str, Spent] = {}
    for file, spent in files.items():
        folder = folders.setdefault(file.rpartition("/")[0] or ".", Spent())
        folder.seconds += spent.seconds
        folder.tests += spent.tests
        folder.slowest = max(folder.slowest, spent.slowest)
    for title, rows in (("folder", folders), ("slowest files", files)):
        yield f"{title:<44} {'tests':>6} {'seconds':>8} {'slowest test':>13}"
        by_time = sorted(rows.items(), key=lambda row: -row[1].seconds)
        for name, spent in by_time if rows is folders else by_time[:_SLOWEST]:
            yield f"{name:<44} {spent.tests:6} {spent.seconds:8.1f} {spent.slowest:13.1f}"
        yield ""


if __name__ == "__main__":
    print(*table(read(map(Path, sys.argv[1:]))), sep="\n")
