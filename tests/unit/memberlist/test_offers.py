"""What the nodes offer: decoded once, reported again with every change of state and weight."""

from __future__ import annotations

from collections import Counter

import attrs
import msgpack
import pytest

from pydoudou.drivers.kit.validation import Unusable
from pydoudou.drivers.memberlist.metadata import encode_instance
from pydoudou.drivers.memberlist.offers import Offers
from pydoudou.drivers.memberlist.protocol import Node, State
from pydoudou.drivers.members import Instance, MemberState

VSN = bytes((1, 5, 2, 0, 0, 0))


def node(name: str = "node-1", *, service: str = "orders", weight: int = 0) -> Node:
    """A live node that offers one service; a `weight` of 0 asks for a dynamic one."""
    meta = encode_instance(Instance(service, "10.0.0.1", 8080, weight=weight))
    return Node(name, "10.0.0.1", 7946, meta, State.ALIVE, 1, VSN)


@pytest.fixture
def refused() -> list[Unusable | None]:
    return []


@pytest.fixture
def offers(refused: list[Unusable | None]) -> Offers:
    return Offers(lambda node, unusable: refused.append(unusable))


def test_a_thousand_weights_of_the_same_blob_decode_it_once(offers: Offers) -> None:
    seen = [offers.observe(attrs.evolve(node(), weight=number % 9))[0].weight for number in range(1000)]
    assert seen == [float(number % 9) for number in range(1000)]
    assert offers.decoded == 1


def test_other_metadata_and_another_address_are_decoded(offers: Offers) -> None:
    offers.observe(node())
    offers.observe(node(service="payments"))
    offers.observe(attrs.evolve(node(service="payments"), host="10.0.0.2"))
    offers.observe(attrs.evolve(node(service="payments"), host="10.0.0.2", port=7947))
    assert offers.decoded == 4
    assert [(member.service, member.process["memPort"]) for member in offers] == [("payments", 7947)]


def test_what_a_node_no_longer_offers_has_left(offers: Offers) -> None:
    offers.observe(node())
    gone, offered = offers.observe(node(service="payments"))
    assert (gone.service, gone.state) == ("orders", MemberState.LEFT)
    assert (offered.service, offered.state) == ("payments", MemberState.ALIVE)


def test_beside_very_many_members_only_one_service_of_a_node_is_taken(refused: list[Unusable | None]) -> None:
    """Strangers cannot make many of few nodes, and every honest node is still there."""
    offers = Offers(lambda node, unusable: refused.append(unusable), most=4)
    for name in ("a", "b", "c", "d"):
        offers.observe(several(name))
    assert sorted(Counter(member.node for member in offers).values()) == [1, 1, 2, 2]
    assert len(refused) == 2
    offers.observe(attrs.evolve(several("a"), port=7947))  # what it has, it keeps
    assert Counter(member.node for member in offers)["a"] == 2
    for name in ("a", "b"):
        offers.observe(attrs.evolve(several(name), state=State.LEFT))
    assert len(offers.observe(several("e"))) == 2


def several(name: str) -> Node:
    """A live node that offers two services."""
    services = [{"name": f"{name}{number}_rest", "port": 80} for number in range(2)]
    return attrs.evolve(node(name), meta=msgpack.packb({"serviceInfo": services}, use_bin_type=False))


@pytest.mark.parametrize(
    ("state", "reported"),
    [
        (State.SUSPECT, MemberState.SUSPECT),
        (State.DEAD, MemberState.FAILED),
        (State.LEFT, MemberState.LEFT),
    ],
)
def test_the_state_of_a_node_is_that_of_its_members(offers: Offers, state: State, reported: MemberState) -> None:
    offers.observe(node())
    (member,) = offers.observe(attrs.evolve(node(), state=state))
    assert (member.service, member.state) == ("orders", reported)
    assert len(offers) == (1 if reported.present else 0)


def test_a_suspect_that_refutes_is_alive_again(offers: Offers) -> None:
    for state in (State.ALIVE, State.SUSPECT):
        offers.observe(attrs.evolve(node(), state=state))
    assert offers.observe(node())[0].state is MemberState.ALIVE


def test_of_a_node_that_was_never_there_nothing_is_reported(offers: Offers) -> None:
    assert offers.observe(attrs.evolve(node(), state=State.DEAD)) == []


def test_a_static_weight_is_not_overridden(offers: Offers) -> None:
    (member,) = offers.observe(attrs.evolve(node(weight=5), weight=3))
    assert (member.weight, member.dynamic_weight) == (5.0, False)


def test_what_cannot_be_read_is_counted_once_per_blob(offers: Offers, refused: list[Unusable | None]) -> None:
    broken = attrs.evolve(node(), meta=b"\xc1")
    for weight in range(3):
        assert offers.observe(attrs.evolve(broken, weight=weight)) == []
    assert offers.unreadable == 1
    assert refused == [None]


def test_the_node_at_an_address_is_the_one_that_offers_something_there_whatever_other_backends_call_it(
    offers: Offers,
) -> None:
    assert offers.node_at("10.0.0.1", 8080) is None
    offers.observe(node())
    assert offers.node_at("10.0.0.1", 8080) == "node-1"
    offers.observe(node(service="payments"))
    assert offers.node_at("10.0.0.1", 8080) == "node-1"
    offers.observe(node("restarted"))
    offers.observe(attrs.evolve(node(), state=State.DEAD))
    assert offers.node_at("10.0.0.1", 8080) == "restarted"
    offers.observe(attrs.evolve(node("restarted"), state=State.LEFT))
    assert offers.node_at("10.0.0.1", 8080) is None
