"""The list of upstream's tests and the markers of ours fit together, and what does not fit is found."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from support.parity import Row, Run, faults, read_rows, summary, table, unproven

ROWS = [
    Row("TestA", "a_test", "does one thing"),
    Row("TestB", "b_test", "does another", does_not_apply="nobody needs it"),
]


def parity(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, Path(__file__).with_name("parity.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=55)


def test_every_row_of_upstream_has_a_test_of_ours_or_a_reason() -> None:
    run = parity("--collect")
    assert (run.stdout, run.returncode) == ("", 0), run.stderr


def test_the_table_tells_the_outcomes_of_a_run_and_fails_while_rows_are_empty() -> None:
    run = parity("-k", "one_key_has_one_key")
    (row,) = (line for line in run.stdout.splitlines() if line.startswith("| TestKeyring_PrimaryOnly "))
    assert row.split(" | ")[2:] == [
        "protocol/test_encryption.py::test_a_ring_of_one_key_has_one_key",
        "passed |",
    ]
    assert "148 rows: 1 passed, 2 do not apply, 0 failed, 0 skipped, 145 empty" in run.stdout
    assert run.returncode == 1


def test_the_list_has_upstreams_145_tests_and_the_three_in_a_comment() -> None:
    rows = read_rows()
    assert len({row.name for row in rows}) == len(rows) == 145 + 3
    by_file = Counter(row.group.removesuffix("_test") for row in rows)
    assert by_file == {
        "awareness": 1, "broadcast": 2, "config": 2, "integ": 1, "keyring": 6, "label": 5, "logging": 2,
        "memberlist": 35, "net": 16, "queue": 6, "security": 3, "state": 42 + 3, "suspicion": 4, "transport": 3,
        "util": 16, "retry": 1,
    }  # fmt: skip


def run_of(tests: dict[str, list[str]], **outcomes: str) -> Run:
    return Run(tests, {test: Counter([outcome]) for test, outcome in outcomes.items()})


def test_a_row_with_a_test_that_passed_and_one_with_a_reason_are_all_right() -> None:
    run = run_of({"TestA": ["ours"]}, ours="passed")
    assert [*faults(ROWS, run), *unproven(ROWS, run)] == []
    assert summary(ROWS, run) == "2 rows: 1 passed, 1 do not apply, 0 failed, 0 skipped, 0 empty"
    assert [*table(ROWS, run)][2:] == [
        "| TestA | does one thing | ours | passed |",
        "| TestB | does another |  | does not apply: nobody needs it |",
    ]


@pytest.mark.parametrize(
    ("tests", "fault"),
    [
        ({}, "TestA: no test has it in its marker, and no reason is given"),
        ({"TestA": ["ours"], "TestB": ["ours"]}, "TestB: ours covers it, although it is said not to apply"),
        ({"TestA": ["ours"], "TestC": ["ours"]}, "TestC: named by ours, but upstream has no such test"),
    ],
)
def test_a_list_that_does_not_fit_the_markers_is_found(tests: dict[str, list[str]], fault: str) -> None:
    assert [*faults(ROWS, run_of(tests, ours="passed"))] == [fault]


@pytest.mark.parametrize("outcome", ["failed", "skipped"])
def test_a_row_is_not_proven_by_a_test_that_fails_or_was_skipped(outcome: str) -> None:
    run = run_of({"TestA": ["ours"]}, ours=outcome)
    assert unproven(ROWS, run) == [f"TestA: {outcome}"]


def test_one_failure_among_the_cases_of_a_test_counts() -> None:
    run = Run({"TestA": ["ours"]}, {"ours": Counter(passed=5, failed=1)})
    assert run.outcome("TestA") == "failed"
