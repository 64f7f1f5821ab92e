"""The table of the suite's times says where they went."""

from __future__ import annotations

from pathlib import Path

from support.suite_times import read, table

REPORT = """<testsuites><testsuite name="pytest">
<testcase classname="tests.unit.static.test_static" name="test_one" time="0.5" />
<testcase classname="tests.unit.static.test_static.TestWeights" name="test_two" time="2.0" />
<testcase classname="tests.unit.test_waiting" name="test_three" time="0.25" />
</testsuite></testsuites>"""


def test_times_are_summed_by_folder_and_by_file_the_slowest_first(tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    report.write_text(REPORT)
    rows = [line.split() for line in table(read([report]))]
    assert rows == [
        ["folder", "tests", "seconds", "slowest", "test"],
        ["tests/unit/static", "2", "2.5", "2.0"],
        ["tests/unit", "1", "0.2", "0.2"],
        [],
        ["slowest", "files", "tests", "seconds", "slowest", "test"],
        ["tests/unit/static/test_static", "2", "2.5", "2.0"],
        ["tests/unit/test_waiting", "1", "0.2", "0.2"],
        [],
    ]
