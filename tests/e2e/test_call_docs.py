"""The examples of the manual's page on calls run as they stand, and its tables are complete."""

from __future__ import annotations

import re
from pathlib import Path

import attrs
import pytest
from support.http_members import GivenMembers, HttpMember

import pydoudou
from pydoudou.balancers.calls.policy import RULES
from pydoudou.balancers.calls.trail import Attempt
from pydoudou.discovery import default_registry

PAGE = Path(__file__).parents[2] / "docs" / "calls.md"
TEXT = PAGE.read_text("utf-8")
EXAMPLES = re.findall(r"^```python\n(.*?)^```", TEXT, flags=re.MULTILINE | re.DOTALL)


def test_the_page_has_examples() -> None:
    assert len(EXAMPLES) == 5


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
def test_an_example_runs(example: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with HttpMember() as member:
        registry = GivenMembers(member.member())
        monkeypatch.setattr(default_registry, "current", lambda: registry)
        exec(compile(example, str(PAGE), "exec"), {"__name__": "example"})
        assert member.served
        assert capsys.readouterr().out


@pytest.mark.parametrize("kind", [pydoudou.CallPolicy, pydoudou.CircuitBreaker, pydoudou.Hedging, Attempt])
def test_every_field_has_its_row(kind: type) -> None:
    table = TEXT.split(f"| `{kind.__name__}` |")[1].split("\n\n")[0]
    assert re.findall(r"^\| `(\w+)` \|", table, flags=re.MULTILINE) == list(attrs.fields_dict(kind))


def test_every_rule_of_a_dry_run_is_named() -> None:
    section = TEXT.split("## Trying a rule out")[1].split("```")[0]
    assert {name for name in re.findall(r"`(\w+)`", section) if name in RULES} == RULES
