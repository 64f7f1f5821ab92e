"""The examples of the manual's page on the other clients run as they stand."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from support.grpc_members import GrpcMember
from support.http_members import GivenMembers, HttpMember

from pydoudou.discovery import default_registry

PAGE = Path(__file__).parents[2] / "docs" / "other-clients.md"
EXAMPLES = re.findall(r"^```python\n(.*?)^```", PAGE.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)


def test_the_page_has_an_example_for_every_client() -> None:
    used = [re.search(r"from pydoudou\.contrib\.(\w+)", example) for example in EXAMPLES]
    assert [found[1] if found else "" for found in used] == ["aiohttp", "urllib3", "grpc", "grpc_aio"]


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
def test_an_example_runs(example: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with HttpMember() as member, GrpcMember() as grpc_member:
        server = grpc_member if "grpc" in example else member
        registry = GivenMembers(server.member())
        monkeypatch.setattr(default_registry, "current", lambda: registry)
        exec(compile(example, str(PAGE), "exec"), {"__name__": "example"})
        assert server.served
