"""The manual's pages of public names and of log lines are what the sources say."""

from __future__ import annotations

from pathlib import Path

import pytest
from support import api_page, log_page

import pydoudou

DOCS = Path(__file__).parents[2] / "docs"
PAGE = DOCS / "reference" / "api.md"


@pytest.mark.filterwarnings("ignore")
def test_the_page_of_public_names_is_current() -> None:
    assert PAGE.read_text("utf-8") == api_page.page(), "run make reference"


def test_the_page_of_log_lines_is_current() -> None:
    assert (DOCS / "reference" / "log.md").read_text("utf-8") == log_page.page(), "run make reference"


@pytest.mark.parametrize("name", [name for name in pydoudou.__all__ if not name.startswith("__")])
def test_every_public_name_is_on_the_page_with_something_about_it(name: str) -> None:
    _, _, entry = PAGE.read_text("utf-8").partition(f"\n### {name}\n")
    about = entry.partition("\n### ")[0].partition("```\n")[2].partition("```")[0]
    assert about.strip(), f"{name} has no docstring"
