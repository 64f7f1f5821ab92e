"""The examples of the manual's page on HTTP clients run as they stand."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from support.http_members import GivenMembers, HttpMember

import pydoudou
from pydoudou.discovery import default_registry

PAGE = Path(__file__).parents[2] / "docs" / "http-clients.md"
EXAMPLES = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), flags=re.MULTILINE | re.DOTALL)


def test_the_page_has_examples() -> None:
    assert len(EXAMPLES) == 7


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
def test_an_example_runs(example: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with HttpMember() as member:
        registry = GivenMembers(member.member())
        monkeypatch.setattr(pydoudou, "new_node", lambda **_: registry)
        monkeypatch.setattr(default_registry, "current", lambda: registry)
        exec(compile(example, str(PAGE), "exec"), {"__name__": "example"})
        assert bool(member.served) == ("http://" in example)
