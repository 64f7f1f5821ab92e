"""The page of what every client can do is that of the tests there are."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from support import client_table
from support.client_table import ABILITIES, CLIENTS, REASONS

ROOT = Path(__file__).parents[2]


def test_the_page_names_the_tests_there_are(tmp_path: Path) -> None:
    made = tmp_path / "clients.md"
    done = subprocess.run(
        [sys.executable, client_table.__file__, "--collected", str(made)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (ROOT / "docs" / "clients.md").read_text("utf-8") == made.read_text("utf-8"), "make reference"


def everything() -> dict[tuple[str, str], list[str]]:
    """A test for everything that has no reason not to be."""
    return {
        (client, ability): ["test_some.py::test_it"]
        for client in CLIENTS
        for ability in ABILITIES
        if (client, ability) not in REASONS
    }


def test_what_no_test_shows_and_nothing_explains_makes_no_page() -> None:
    shown = everything()
    client_table.page(shown)
    lost = next(iter(shown))
    del shown[lost]
    with pytest.raises(ValueError, match=f"{lost[0]}: {lost[1]}"):
        client_table.page(shown)


def test_an_ability_that_the_table_does_not_have_makes_no_page() -> None:
    with pytest.raises(ValueError, match="requests: flying"):
        client_table.page({**everything(), ("requests", "flying"): ["test_some.py::test_it"]})
