"""What hashicorp/memberlist's own tests hold, joined with the tests of ours that hold the same.

The rows come from `upstream_tests.toml`; a test of ours names those that it covers in its marker `upstream`.
"""

from __future__ import annotations

import collections
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

__all__ = ["Row", "Run", "faults", "read_rows", "summary", "table", "unproven"]

ROWS = Path(__file__).parents[1] / "protocol" / "upstream_tests.toml"


@attrs.frozen
class Row:
    """One test of upstream.

    Attributes:
        group: the file it stands in, without its ending.
        behaviour: what it holds, in our words.
        differs: where we keep its purpose but not its letter; "" if nowhere.
        does_not_apply: why it needs no test here; "" if it does.
    """

    name: str
    group: str
    behaviour: str
    differs: str = ""
    does_not_apply: str = ""


@attrs.define(eq=False)
class Run:
    """Our tests with the marker `upstream`; as a pytest plugin it collects them and their outcomes.

    Attributes:
        tests: by upstream name, those of ours that cover it: path and function, without parameters.
        outcomes: by the same, how often which outcome.
    """

    tests: dict[str, list[str]] = attrs.field(factory=dict)
    outcomes: dict[str, collections.Counter[str]] = attrs.field(factory=dict)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Read the markers."""
        for item in session.items:
            test = _without_parameters(item.nodeid)
            for marker in item.iter_markers("upstream"):
                for name in marker.args:
                    covering = self.tests.setdefault(name, [])
                    if test not in covering:
                        covering.append(test)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count an outcome: that of the test itself, or of a preparation that failed or skipped it."""
        if report.when == "call" or report.outcome != "passed":
            counted = self.outcomes.setdefault(_without_parameters(report.nodeid), collections.Counter())
            counted[report.outcome] += 1

    def outcome(self, name: str) -> str:
        """``passed``, ``failed`` or ``skipped``: that of all tests of a row together; "" without tests."""
        total: collections.Counter[str] = collections.Counter()
        for test in self.tests.get(name, ()):
            total.update(self.outcomes.get(test, {}))
        return next((outcome for outcome in ("failed", "passed", "skipped") if total[outcome]), "")


def _without_parameters(node_id: str) -> str:
    return node_id.partition("[")[0]


def read_rows() -> list[Row]:
    """The list of upstream's tests.

    Raises:
        ValueError: a remark is about a test that is not in the list.
    """
    groups: dict[str, Any] = tomllib.loads(ROWS.read_text())
    remarks = {kind: groups.pop(kind) for kind in ("differs", "does_not_apply")}
    rows = [
        Row(name, group, behaviour, **{kind: about.get(name, "") for kind, about in remarks.items()})
        for group, tests in groups.items()
        for name, behaviour in tests.items()
    ]
    unknown = {name for about in remarks.values() for name in about} - {row.name for row in rows}
    if unknown:
        raise ValueError(f"remarks about tests that are not in the list: {sorted(unknown)}")
    return rows


def faults(rows: list[Row], run: Run) -> Iterator[str]:
    """What is wrong between the list and the markers."""
    for row in rows:
        tests = run.tests.get(row.name, [])
        if not tests and not row.does_not_apply:
            yield f"{row.name}: no test has it in its marker, and no reason is given"
        if tests and row.does_not_apply:
            yield f"{row.name}: {tests[0]} covers it, although it is said not to apply"
    for name in run.tests.keys() - {row.name for row in rows}:
        yield f"{name}: named by {run.tests[name][0]}, but upstream has no such test"


def table(rows: list[Row], run: Run) -> Iterator[str]:
    """The lines of the table, in Markdown."""
    yield "| upstream | behaviour | our tests | outcome |"
    yield "|---|---|---|---|"
    for row in rows:
        tests = "<br>".join(test.removeprefix("tests/") for test in run.tests.get(row.name, ()))
        behaviour = f"{row.behaviour}. Differs: {row.differs}" if row.differs else row.behaviour
        outcome = run.outcome(row.name) or (f"does not apply: {row.does_not_apply}" if row.does_not_apply else "EMPTY")
        yield f"| {row.name} | {behaviour} | {tests} | {outcome} |"


def unproven(rows: list[Row], run: Run) -> list[str]:
    """The rows whose tests failed, or were all skipped."""
    return [f"{row.name}: {run.outcome(row.name)}" for row in rows if run.outcome(row.name) in ("failed", "skipped")]


def summary(rows: list[Row], run: Run) -> str:
    """One line: how many rows have which outcome."""
    count = collections.Counter(run.outcome(row.name) or ("n/a" if row.does_not_apply else "empty") for row in rows)
    return (
        f"{len(rows)} rows: {count['passed']} passed, {count['n/a']} do not apply, {count['failed']} failed, "
        f"{count['skipped']} skipped, {count['empty']} empty"
    )
