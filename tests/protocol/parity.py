"""Prints what hashicorp/memberlist's own tests hold, and which of ours hold the same: the parity table.

    python tests/protocol/parity.py             run our tests and print the table
    python tests/protocol/parity.py --collect   only hold the list against the markers, without running anything
    python tests/protocol/parity.py -k probe    any other arguments are pytest's

Fails if a row is covered by nothing and has no reason, a test fails, every test of a row was skipped, or a marker names
a test that upstream does not have.
"""

from __future__ import annotations

import contextlib
import io
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
sys.path.insert(0, str(TESTS))

from support.parity import Run, faults, read_rows, summary, table, unproven

MARKED = [str(path) for path in sorted(TESTS.rglob("test_*.py")) if "mark.upstream(" in path.read_text("utf-8")]
"""Collecting the other files as well would take three times as long."""
SELECTION = ["-m", "upstream", "-q", "-p", "no:cacheprovider", f"--rootdir={TESTS.parent}", *MARKED]


def main(arguments: list[str]) -> int:
    rows, run = read_rows(), Run()
    if arguments == ["--collect"]:
        with contextlib.redirect_stdout(io.StringIO()) as output:
            code = pytest.main(["--collect-only", *SELECTION], plugins=[run])
        if code != pytest.ExitCode.OK:
            print(output.getvalue())
        found = [*faults(rows, run)]
    else:
        code = pytest.main(["--no-header", *arguments, *SELECTION], plugins=[run])
        print(*table(rows, run), "", summary(rows, run), sep="\n")
        found = [*faults(rows, run), *unproven(rows, run)]
    for fault in found:
        print(fault)
    return 1 if found or code != pytest.ExitCode.OK else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
