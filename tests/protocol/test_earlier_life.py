"""A node that is started again under its name, while news of its life before are still under way."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from support.cluster import VSN, Lone, World, alive
from support.streams import drive, serve

from pydoudou.drivers.memberlist.protocol import State
from pydoudou.drivers.memberlist.protocol.addresses import Address
from pydoudou.drivers.memberlist.protocol.events import NodeLeft
from pydoudou.drivers.memberlist.protocol.messages import Alive, Dead, Suspect
from pydoudou.drivers.memberlist.protocol.stream_exchange import StreamExchange
from pydoudou.drivers.memberlist.protocol.stream_messages import PushPullHeader, PushPullNode

SEEDS: Sequence[Address] = (("10.0.0.8", 7946), ("10.0.0.9", 7946))
GOSSIP_INTERVAL = 0.2


def of_me(
    incarnation: int = 1, state: State = State.ALIVE, *, host: int = 1, meta: bytes | None = None
) -> PushPullNode:
    return PushPullNode("me", bytes((10, 0, 0, host)), 7946, meta, incarnation, state, VSN)


def peers(count: int) -> list[PushPullNode]:
    return [
        PushPullNode(f"n{number}", bytes((10, 0, 1 + number // 250, number % 250)), 7946, None, 1, State.ALIVE, VSN)
        for number in range(count)
    ]


def state_of(*records: PushPullNode, join: bool = True) -> bytes:
    return PushPullHeader(len(records), 0, join).encode() + b"".join(record.encode() for record in records)


def dialled(lone: Lone, seed: Address = SEEDS[0]) -> StreamExchange:
    """A join under way, of which our state has been sent."""
    lone.swim.join(seed, lone.now)
    (exchange,) = lone.streams()
    drive(exchange, lone.now)
    return exchange


def joined(*records: PushPullNode, lone: Lone | None = None) -> Lone:
    """A node whose seed has answered with these records."""
    lone = lone if lone is not None else Lone()
    serve(dialled(lone), state_of(*records), lone.now)
    return lone


def restarted(world: World, name: str) -> None:
    """The node leaves, which nobody hears yet, and is started anew."""
    passes, world.passes = world.passes, lambda source, target, transport: name != source
    world.swim(name).leave(world.now)
    world.run_until(lambda: world.swim(name).left, within=1.0)
    world.off(name)
    world.passes = passes
    world.run(0.1)
    world.add(name)
    world.pump()


def late_leave(world: World, name: str, *observers: str) -> None:
    """What the node said when it left reaches others at last."""
    for observer in observers:
        process = world.simulation.processes[world.address(observer)]
        world.simulation.inject(process, Dead(1, name, name).encode(), SEEDS[0])
    world.pump()


# -- a leave that comes late -------------------------------------------------------------------------------------------


def test_a_leave_that_comes_after_the_return_does_not_undo_it() -> None:
    """It is of the incarnation with which the node began anew, and nobody gossips to a node that has left: without
    anything else the node would not hear of it before somebody's push/pull.
    """
    world = World()
    world.start("seed", "third", "back")
    restarted(world, "back")
    assert world.join("back", "seed") == ""
    world.run(5 * GOSSIP_INTERVAL)
    late_leave(world, "back", "seed", "third")
    for name in ("seed", "third"):
        assert world.view(name)["back"] is State.ALIVE
        assert world.events(name, NodeLeft) == []


@pytest.mark.parametrize("contact", ["push/pull", "probe"])
def test_nor_if_the_node_is_the_seed_to_which_others_come(contact: str) -> None:
    world = World()
    world.start("seed", "a", "b")
    restarted(world, "seed")
    if contact == "push/pull":
        assert world.join("a", "seed") == ""
    world.run(3.0)
    late_leave(world, "seed", "a", "b")
    for name in ("a", "b"):
        assert world.view(name)["seed"] is State.ALIVE
        assert world.events(name, NodeLeft) == []


def test_who_comes_to_a_seed_is_told_the_higher_incarnation_in_the_answer() -> None:
    lone = Lone()
    answer, _ = lone.accept(state_of(of_me(), *peers(1)))
    assert answer == state_of(of_me(2))
    assert lone.node("me").incarnation == 2


def test_a_leave_between_the_return_and_its_announcement_holds_for_some_gossip_intervals_only() -> None:
    world = World()
    world.start("seed", "third", "back")
    restarted(world, "back")
    late_leave(world, "back", "third")
    assert world.join("back", "seed") == ""
    world.run_until(lambda: world.view("third")["back"] is State.ALIVE, within=2 * GOSSIP_INTERVAL)


# -- whom gossip passes by ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "entry",
    [of_me(), of_me(4), of_me(meta=b"before"), *(of_me(1, state) for state in State if state is not State.ALIVE)],
    ids=["equal", "higher", "other metadata", "suspect", "dead", "left"],
)
def test_a_node_that_returns_says_so_to_everybody_directly(entry: PushPullNode) -> None:
    """One that holds it for gone and is passed by in gossip, as happens to one in a hundred, would be told by nobody
    else: eight transmissions are all that gossip makes here.
    """
    everybody = peers(20)
    lone = joined(entry, *everybody)
    lone.run(2 * GOSSIP_INTERVAL)
    told = {to[0] for to, said in lone.sent(Alive) if said.incarnation == entry.incarnation + 1}
    assert told == {lone.node(peer.name).host for peer in everybody}


def test_what_is_said_directly_in_a_large_cluster_is_spread_over_time() -> None:
    everybody = peers(200)
    lone = joined(of_me(1, State.LEFT), *everybody)
    lone.forget_gossip()
    told: set[Address] = set()
    while len(told) < len(everybody):
        lone.run(GOSSIP_INTERVAL)
        now = [to for to, said in lone.sent(Alive) if said.node == "me"]
        assert 0 < len(now) <= 32
        assert told.isdisjoint(now)
        told.update(now)
    lone.run(5.0)
    assert lone.sent(Alive) == []


def test_reports_that_keep_coming_make_it_say_so_no_faster() -> None:
    lone = Lone()
    lone.knows(*(f"n{number}" for number in range(20)))
    for incarnation in range(1, 51):
        lone.hear(Dead(incarnation, "me", "me"))
    lone.forget_gossip()
    lone.run(GOSSIP_INTERVAL)
    assert [said.incarnation for _, said in lone.sent(Alive)] == [51] * 20


def test_a_node_that_leaves_again_says_nothing_more_of_a_return() -> None:
    lone = joined(of_me(1, State.LEFT), *peers(20))
    lone.swim.leave(lone.now)
    lone.run(2.0)
    assert [said for _, said in lone.sent(Alive) if said.node == "me"] == []


# -- what is no sign of an earlier life --------------------------------------------------------------------------------


def test_a_node_that_nobody_knew_stays_at_its_first_incarnation_and_is_told_of_by_gossip_alone() -> None:
    lone = joined(*peers(20))
    lone.run(GOSSIP_INTERVAL * 5)
    told = [to for to, said in lone.sent(Alive) if said.node == "me"]
    assert lone.node("me").incarnation == 1
    assert len(told) <= 8


def test_what_a_later_peer_says_is_an_echo() -> None:
    lone = Lone()
    first, second = dialled(lone, SEEDS[0]), dialled(lone, SEEDS[1])
    serve(first, state_of(*peers(2)), lone.now)
    serve(second, state_of(of_me(), *peers(3)), lone.now)
    lone.push_pull(of_me(), *peers(4))
    assert lone.node("me").incarnation == 1
    assert lone.swim.counters["refutations"] == 0


def test_what_gossip_says_is_an_echo_even_before_the_answer_has_come() -> None:
    """The seed has merged our state by then, and a datagram may be faster than a large answer."""
    lone = Lone()
    exchange = dialled(lone)
    lone.hear(alive("me", host="10.0.0.1"))
    serve(exchange, state_of(*peers(2)), lone.now)
    assert lone.node("me").incarnation == 1


def test_one_return_raises_the_incarnation_once_whoever_else_tells_of_the_earlier_life() -> None:
    lone = Lone()
    first, second = dialled(lone, SEEDS[0]), dialled(lone, SEEDS[1])
    serve(first, state_of(of_me(3)), lone.now)
    serve(second, state_of(of_me(3, State.LEFT)), lone.now)
    lone.push_pull(of_me(3))
    lone.push_pull(of_me(4))
    assert lone.node("me").incarnation == 4
    assert lone.swim.counters["refutations"] == 1


def test_who_has_our_name_at_another_address_is_a_conflict_and_no_earlier_life() -> None:
    lone = joined(of_me(host=77))
    assert lone.node("me").incarnation == 1
    assert lone.swim.cluster.name_taken_by == ("10.0.0.77", 7946)


def test_an_incarnation_that_no_node_can_be_at_is_not_gone_above() -> None:
    lone = joined(of_me(2**32 - 2, State.LEFT))
    assert lone.node("me").incarnation == 1
    assert lone.problems() == ["incarnation_refused"]


# -- health ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", State)
def test_an_earlier_life_says_nothing_about_our_health(state: State) -> None:
    lone = joined(of_me(1, state))
    assert (lone.node("me").incarnation, lone.swim.health_score) == (2, 0)


def test_nor_does_its_leave_or_its_statement_that_comes_by_gossip() -> None:
    lone = joined()
    lone.hear(Dead(1, "me", "me"), alive("me", 2, host="10.0.0.1", meta=b"before"))
    assert (lone.node("me").incarnation, lone.swim.health_score) == (3, 0)


def test_a_suspicion_of_this_life_does() -> None:
    lone = joined(*peers(1))
    lone.hear(Suspect(1, "me", "n0"))
    assert (lone.node("me").incarnation, lone.swim.health_score) == (2, 1)
