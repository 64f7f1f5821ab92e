"""Under which names services are looked for in Nacos."""

from __future__ import annotations

import pytest

from pydoudou.drivers.nacos.service_names import ServiceName, asked_for


@pytest.mark.parametrize("asked", ["orders", "orders_rest"])
def test_both_generations_of_go_doudou_are_one_service(asked: str) -> None:
    assert asked_for(asked, "G") == {ServiceName("G", "orders"): "orders", ServiceName("G", "orders_rest"): "orders"}


def test_a_service_of_another_group_keeps_its_name() -> None:
    assert asked_for("OTHER@@Orders", "G") == {ServiceName("OTHER", "Orders"): "OTHER@@Orders"}


@pytest.mark.parametrize(
    "asked", ["", "_rest", "a b", "a/b", "../a", "a\\b", "a\x00b", "@@a", "G@@", "G@@a@@b", "a" * 513]
)
def test_what_nacos_cannot_have_is_looked_for_nowhere(asked: str) -> None:
    assert asked_for(asked, "G") == {}
