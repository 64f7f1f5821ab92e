"""What the manual says that go-doudou's own libraries make of a configuration file is what they make of it."""

from __future__ import annotations

import json
import subprocess

import pytest
from support.file_reading import DOTENV, ERROR, YAML
from support.peers import locate

ROWS = [*DOTENV, *YAML]


def test_go_doudous_libraries_read_every_row_as_the_manual_says() -> None:
    questions = "".join(json.dumps({"format": row.form, "text": row.text}) + "\n" for row in ROWS)
    asked = subprocess.run(
        [locate("go-config") / "peer"], input=questions, capture_output=True, text=True, check=True, timeout=30
    )
    for row, line in zip(ROWS, asked.stdout.splitlines(), strict=True):
        said = json.loads(line)
        read = ERROR if "error" in said else said.get("values", {})
        assert read == row.go, f"{row.form} {row.text!r}"


@pytest.mark.parametrize("row", [row for row in ROWS if row.here is not None], ids=lambda row: repr(row.text))
def test_a_difference_is_one_and_has_a_reason(row: object) -> None:
    assert row.here != row.go  # type: ignore[attr-defined]
    assert row.why  # type: ignore[attr-defined]
