"""Whether it is the others who are gone, or the node itself that is cut off."""

from __future__ import annotations

from support.cluster import World

from pydoudou.drivers.memberlist.protocol import State


def lost(world: World, *names: str) -> bool:
    """Whether the node ``me`` holds all of these for dead or gone."""
    present = {node.name for node in world.swim("me").members()}
    return present.isdisjoint(names)


def switch_off(world: World, *names: str) -> None:
    for name in names:
        world.off(name)
    world.run_until(lambda: lost(world, *names), within=60.0)


def test_a_node_that_loses_all_others_at_once_takes_itself_for_cut_off() -> None:
    world = World()
    world.start("me", "a", "b")
    switch_off(world, "a", "b")
    assert world.swim("me").cluster.cut_off


def test_it_does_so_while_they_are_only_suspected() -> None:
    world = World()
    world.start("me", "a", "b")
    world.off("a")
    world.off("b")
    world.run_until(lambda: world.swim("me").cluster.cut_off, within=60.0)
    states = {node.name: node.state for node in world.swim("me").nodes()}
    assert State.DEAD not in states.values()


def test_the_only_other_one_is_lost_by_itself() -> None:
    world = World()
    world.start("me", "a")
    switch_off(world, "a")
    assert not world.swim("me").cluster.cut_off


def test_those_that_are_lost_one_after_the_other_are_not_counted_together() -> None:
    """However soon the second follows: it had answered when the first was lost."""
    world = World()
    world.start("me", "a", "b")
    switch_off(world, "a")
    switch_off(world, "b")
    assert not world.swim("me").cluster.cut_off


def test_those_that_were_never_there_together_are_not_counted_together() -> None:
    world = World()
    world.start("me", "a")
    for name in ("b", "c", "d"):
        switch_off(world, "a" if name == "b" else chr(ord(name) - 1))
        assert not world.swim("me").cluster.cut_off
        world.add(name)
        world.join(name, "me")
        world.run(1.0)
    switch_off(world, "d")
    assert not world.swim("me").cluster.cut_off


def test_one_answer_ends_it() -> None:
    world = World()
    world.start("me", "a", "b")
    switch_off(world, "a", "b")
    world.add("c")
    world.join("c", "me")
    assert not world.swim("me").cluster.cut_off
    switch_off(world, "c")
    assert not world.swim("me").cluster.cut_off


def test_a_leave_ends_it_because_it_was_heard() -> None:
    world = World()
    a = world.start("me", "a", "b")[1]
    world.passes = lambda source, target, transport: "me" not in (source, target)
    world.run_until(lambda: world.swim("me").cluster.cut_off, within=60.0)
    world.passes = lambda source, target, transport: True
    a.leave(world.now)
    world.run_until(lambda: lost(world, "a"), within=5.0)
    assert not world.swim("me").cluster.cut_off


def test_while_one_other_is_alive_a_node_is_not_cut_off() -> None:
    world = World()
    world.start("me", "a", "b", "c")
    switch_off(world, "a", "b")
    assert not world.swim("me").cluster.cut_off
