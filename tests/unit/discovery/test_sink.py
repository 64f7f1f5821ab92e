"""The door for drivers that do not use the kit: what they report is checked on the way into the view."""

from __future__ import annotations

import logging
import math
from typing import Any

import pytest
from support.scripted import ScriptedPlugin, member, settings

from pydoudou import Member, NoMemberAvailable, Registry, RoundRobin, SmoothWeighted

GOOD = member("10.0.0.7")
UNUSABLE = [
    member(service="evil\n2026-01-01 CRITICAL forged line"),
    member(node="\x1b[2J"),
    member("u:p@h"),
    member("a" * 64),
    member("a..b"),
    member(port=0),
    member(port=70_000),
    member(root_path="/\ud800"),
    member(scheme="h t"),
    member(weight="heavy"),
]


@pytest.mark.parametrize("bad", UNUSABLE, ids=lambda bad: ascii(bad)[:60])
def test_an_unusable_member_is_dropped_alone_and_said_once(bad: Member, caplog: pytest.LogCaptureFixture) -> None:
    plugin = ScriptedPlugin(members=[bad, GOOD])
    with caplog.at_level(logging.DEBUG, "pydoudou"), Registry(settings(plugin)) as registry:
        plugin.report(bad)
        assert [each.address for each in registry.members()] == [GOOD.address]
        texts = [registry.explain("nobody"), str(registry.status()), *(each.getMessage() for each in caplog.records)]
        with pytest.raises(NoMemberAvailable) as caught:
            RoundRobin("nobody", registry).pick()
    assert all(text.isprintable() for text in [*texts, str(caught.value)])
    assert len([text for text in texts if "dropped what" in text]) == 1


@pytest.mark.parametrize(
    ("weight", "shown"), [(1e308, 10_000), (2**64, 10_000), (math.inf, 10_000), (-1, 0), (math.nan, 0), (2.5, 2.5)]
)
def test_a_weight_is_clamped_so_that_every_balancer_picks(weight: Any, shown: float) -> None:
    with Registry(settings(ScriptedPlugin(members=[member(weight=weight), GOOD]))) as registry:
        assert {each.weight for each in registry.members("orders")} == {shown, 1.0}
        assert SmoothWeighted("orders", registry).pick().service == "orders"
