"""go-doudou's weight message: what is announced, what is taken, what is passed on."""

from __future__ import annotations

import pytest
from support.cluster import Lone, World, alive

from pydoudou.drivers.memberlist.protocol import Dialect, Hooks, State
from pydoudou.drivers.memberlist.protocol.events import WeightChanged
from pydoudou.drivers.memberlist.protocol.messages import Dead, Suspect, Weight
from pydoudou.drivers.memberlist.protocol.weight import MAX_WEIGHT, dynamic_weight


def knowing(name: str = "a", incarnation: int = 3) -> Lone:
    lone = Lone(dialect=Dialect.DOUDOU)
    lone.hear(alive(name, incarnation, dialect=Dialect.DOUDOU))
    lone.events()
    lone.forget_gossip()
    return lone


def weight(value: int, at: int = 1_000, *, node: str = "a", incarnation: int = 3) -> Weight:
    return Weight(incarnation, node, node, value, at)


@pytest.mark.parametrize(
    ("score", "idle", "value"),
    [(0, 1.0, 8), (0, 0.0, 5), (0, 0.5, 6), (3, 0.75, 5), (7, 0.0, 1), (7, 1.0, 4), (4, 0.03, 2)],
)
def test_a_weight_is_six_parts_health_and_four_parts_idle_processor(score: int, idle: float, value: int) -> None:
    assert dynamic_weight(8, score, idle) == value == int(0.6 * (8 - score) + 0.4 * 8 * idle + 0.5)


@pytest.mark.parametrize(
    ("score", "idle", "headroom", "value"),
    [(0, 1.0, 1.0, 8), (0, 1.0, 0.5, 4), (0, 1.0, 0.3, 2), (0, 1.0, 0.0, 1), (0, 0.0, 0.5, 2), (7, 0.0, 0.0, 1)],
)
def test_of_a_weight_a_service_has_the_share_that_is_free(score: int, idle: float, headroom: float, value: int) -> None:
    assert dynamic_weight(8, score, idle, headroom) == value


def test_a_weight_is_taken_told_and_passed_on() -> None:
    lone = knowing()
    lone.hear(weight(5))
    assert [event.node.weight for event in lone.happened(WeightChanged)] == [5]
    assert lone.node("a").weight == 5
    assert lone.gossip() == [weight(5)]


def test_the_same_weight_measured_later_is_passed_on_and_is_no_event() -> None:
    lone = knowing()
    lone.hear(weight(5))
    lone.events()
    lone.forget_gossip()
    lone.hear(weight(5, 2_000))
    assert lone.happened(WeightChanged) == []
    assert lone.gossip() == [weight(5, 2_000)]


@pytest.mark.parametrize(
    "dropped",
    [
        weight(1, 1_000),
        weight(1, 999),
        weight(1, 2_000, incarnation=2),
        weight(1, 2_000, node="nobody"),
        weight(1, 2_000, node="me"),
    ],
    ids=["the same measurement", "an older one", "an old incarnation", "an unknown node", "ourselves"],
)
def test_a_weight_is_dropped_if_it_is_not_news_or_not_about_another_live_node(dropped: Weight) -> None:
    lone = knowing()
    lone.hear(weight(5))
    lone.events()
    lone.forget_gossip()
    lone.hear(dropped)
    assert lone.events() == []
    assert lone.gossip() == []
    assert (lone.node("a").weight, lone.node("me").weight) == (5, None)


@pytest.mark.parametrize("value", [-1, MAX_WEIGHT + 1, 2**63 - 1, -(2**63)])
def test_a_weight_that_nobody_can_have_measured_is_refused(value: int) -> None:
    lone = knowing()
    lone.hear(weight(5), weight(value, 2_000))
    assert lone.node("a").weight == 5
    assert lone.problems() == ["weight_refused"]


def test_a_date_that_no_later_announcement_reaches_gives_way_to_them() -> None:
    """Forged, or measured by a clock that was wrong."""
    lone = knowing()
    lone.hear(weight(8, 2**63 - 1))
    for second in range(8):
        lone.now += 1.0
        lone.hear(weight(3, 1_000 + second), weight(3, 1_000 + second))
    assert lone.node("a").weight == 3
    lone.hear(weight(4, 2_000))
    assert lone.node("a").weight == 4


def test_an_old_announcement_that_is_still_gossiped_does_not_win_by_repetition() -> None:
    lone = knowing()
    lone.hear(weight(5, 2_000))
    for _ in range(8):
        lone.now += 1.0
        lone.hear(weight(1, 1_000))
    assert lone.node("a").weight == 5


def test_the_weight_of_a_suspect_is_dropped_and_the_known_one_survives_the_suspicion() -> None:
    """Go forgets it there, and hears of it again only when it changes."""
    lone = knowing()
    lone.hear(weight(5), Suspect(3, "a", "x"), weight(1, 2_000))
    assert (lone.state("a"), lone.node("a").weight) == (State.SUSPECT, 5)
    lone.hear(alive("a", 4, dialect=Dialect.DOUDOU))
    assert (lone.state("a"), lone.node("a").weight) == (State.ALIVE, 5)


def test_a_node_that_died_returns_without_a_weight() -> None:
    lone = knowing()
    lone.hear(weight(5), Dead(3, "a", "x"), alive("a", 4, dialect=Dialect.DOUDOU))
    assert lone.node("a").weight is None


def test_a_weight_does_not_touch_the_incarnation() -> None:
    lone = knowing()
    lone.hear(weight(5, incarnation=9))
    assert (lone.node("a").incarnation, lone.node("a").weight) == (3, 5)


def test_a_weight_does_not_push_the_news_of_its_node_out_of_the_queue() -> None:
    lone = knowing()
    lone.hear(alive("a", 4, dialect=Dialect.DOUDOU), weight(5, incarnation=4), weight(6, 2_000, incarnation=4))
    assert sorted(type(message).__name__ for message in lone.gossip()) == ["Alive", "Weight"]


def test_the_dialect_of_hashicorp_has_no_weights() -> None:
    lone = Lone()
    lone.hear(alive("a", 3), weight(5))
    assert lone.problems() == ["bad_message"]
    assert lone.node("a").weight is None


def test_a_node_announces_what_it_measures_and_the_others_hear_it() -> None:
    world = World(Dialect.DOUDOU)
    readings = iter([(1.0, 1_000), (0.5, 2_000)])
    world.add("me", weight_interval=5.0, hooks=Hooks(load=lambda: next(readings)))
    world.add("peer")
    world.join("me", "peer")

    def seen_by(name: str) -> int | None:
        """The weight of ``me``."""
        return {node.name: node.weight for node in world.swim(name).nodes()}["me"]

    world.run_until(lambda: seen_by("peer") == 8, within=6.0)
    assert seen_by("me") == 8
    world.run_until(lambda: seen_by("peer") == 6, within=6.0)
    assert {node.weight for node in world.swim("me").nodes() if node.name == "peer"} == {None}


def test_a_leaving_node_announces_no_weight() -> None:
    lone = Lone(dialect=Dialect.DOUDOU, weight_interval=1.0, hooks=Hooks(load=lambda: pytest.fail("measured")))
    lone.swim.leave(lone.now)
    lone.run(5.0)
