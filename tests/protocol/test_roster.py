"""The node list: its order, who is drawn from it, who is dropped."""

from __future__ import annotations

import random
from collections.abc import Iterable

import pytest
from support.cluster import VSN, context_of

from pydoudou.drivers.memberlist.protocol import State
from pydoudou.drivers.memberlist.protocol.messages import Alive
from pydoudou.drivers.memberlist.protocol.node_list import NodeRecord, Roster

SEED = 7


def roster(names: Iterable[str], **states: State) -> Roster:
    """Nodes of these names, alive unless told otherwise, in their present state since time 0."""
    made = Roster(random.Random(SEED))
    for name in names:
        made.add(NodeRecord(name, b"", "", 0, None, VSN, 1, states.get(name, State.ALIVE), 0.0))
    return made


def names_of(nodes: Iterable[NodeRecord]) -> list[str]:
    return [node.name for node in nodes]


@pytest.mark.upstream("TestShuffleNodes")
def test_after_a_round_the_order_is_another_one() -> None:
    nodes = roster(map(str, range(20)))
    before = names_of(nodes)
    nodes.drop_gone(-1.0)
    after = names_of(nodes)
    assert sorted(after) == sorted(before)
    assert after != before


def test_a_new_node_is_put_at_a_random_place() -> None:
    places = set()
    for seed in range(40):
        nodes = Roster(random.Random(seed))
        for name in ("a", "b", "c", "new"):
            nodes.add(NodeRecord(name, b"", "", 0, None, VSN, 1, State.ALIVE, 0.0))
        places.add(names_of(nodes).index("new"))
    assert places == {0, 1, 2, 3}


@pytest.mark.upstream("TestMoveDeadNodes")
def test_only_those_that_have_been_gone_for_long_are_dropped() -> None:
    states = {"dead": State.DEAD, "left": State.LEFT, "recently": State.DEAD, "suspect": State.SUSPECT}
    nodes = roster(["a", "dead", "b", "left", "recently", "suspect"], **states)
    recently = nodes.get("recently")
    assert recently is not None
    recently.state_changed = 50.0
    assert sorted(names_of(nodes.drop_gone(50.0))) == ["dead", "left"]
    assert sorted(names_of(nodes)) == ["a", "b", "recently", "suspect"]
    assert nodes.get("dead") is None


@pytest.mark.upstream("TestKRandomNodes")
@pytest.mark.parametrize("size", [90, 9])
def test_the_nodes_drawn_are_different_ones_that_fit_and_others_each_time(size: int) -> None:
    names = list(map(str, range(size)))
    states = {name: (State.ALIVE, State.SUSPECT, State.DEAD)[int(name) % 3] for name in names}
    nodes = roster(names, **states)

    def alive(node: NodeRecord) -> bool:
        return node.state is State.ALIVE and node.name != "0"

    draws = [names_of(nodes.sample(3, alive)) for _ in range(3)]
    for draw in draws:
        assert len(set(draw)) == len(draw) <= 3
        assert all(int(name) % 3 == 0 and name != "0" for name in draw)
    if size == 90:
        assert [len(draw) for draw in draws] == [3, 3, 3]
        assert len({tuple(sorted(draw)) for draw in draws}) == 3


@pytest.mark.upstream("TestKRandomNodes")
def test_a_short_list_is_searched_through() -> None:
    nodes = roster("abcdef", **dict.fromkeys("abcd", State.DEAD))
    for _ in range(20):
        assert sorted(names_of(nodes.sample(2, lambda node: node.state is State.ALIVE))) == ["e", "f"]
    assert nodes.sample(3, lambda node: False) == []
    assert Roster(random.Random(SEED)).sample(3, lambda node: True) == []


def test_every_node_is_drawn_as_often_as_any_other() -> None:
    nodes = roster(map(str, range(30)))
    counts = dict.fromkeys(map(str, range(30)), 0)
    for _ in range(3_000):
        for node in nodes.sample(3, lambda node: True):
            counts[node.name] += 1
    assert 200 < min(counts.values()) <= max(counts.values()) < 400  # 300 are expected, 17 are one deviation


@pytest.mark.upstream("TestRandomOffset")
def test_first_ticks_are_spread_over_the_interval() -> None:
    context = context_of()
    draws = [context.stagger(2.0**31) for _ in range(100)]
    assert len(set(draws)) == 100
    assert 0 <= min(draws) < 2**31 / 10
    assert 2**31 * 0.9 < max(draws) < 2**31


@pytest.mark.upstream("TestRandomOffset_Zero")
def test_an_interval_of_nothing_has_no_room_for_chance() -> None:
    assert context_of().stagger(0) == 0


def test_states_and_addresses_are_counted_as_they_change() -> None:
    nodes = roster(["a", "b"], b=State.DEAD)
    a, b = nodes.get("a"), nodes.get("b")
    assert a is not None
    assert b is not None
    for node in (a, b):
        nodes.set_statement(node, Alive(2, node.name, b"", 7946, None, VSN), "10.0.0.1")
    assert (nodes.present, nodes.count(State.DEAD)) == (1, 1)
    nodes.set_state(b, State.ALIVE, 1.0)
    nodes.set_state(a, State.SUSPECT, 1.0)
    nodes.set_state(a, State.LEFT, 2.0)
    assert nodes.is_present_at(("10.0.0.1", 7946))
    nodes.set_state(b, State.DEAD, 3.0)
    assert not nodes.is_present_at(("10.0.0.1", 7946))
    nodes.drop_gone(10.0)
    assert [nodes.count(state) for state in State] == [0, 0, 0, 0]
