"""Starting, joining, leaving, returning: clusters of a few nodes on a network of their own."""

from __future__ import annotations

import ipaddress
from typing import Any

import attrs
import pytest
from support.cluster import Lone, World
from support.cluster import alive as statement
from support.streams import drive, serve

from pydoudou.drivers.memberlist.protocol import Config, Dialect, Hooks, Keyring, State
from pydoudou.drivers.memberlist.protocol.events import (
    NodeConflict,
    NodeJoined,
    NodeLeft,
    NodeSuspected,
    NodeUpdated,
    Problem,
)
from pydoudou.drivers.memberlist.protocol.messages import Dead, IndirectPing, Ping, Suspect
from pydoudou.drivers.memberlist.protocol.packet import PacketCodec

KEY, OTHER_KEY = bytes(range(16)), bytes(range(16, 32))


def networks(*cidrs: str) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
    return tuple(map(ipaddress.ip_network, cidrs))


def alive(*names: str) -> dict[str, State]:
    return dict.fromkeys(names, State.ALIVE)


# -- starting ----------------------------------------------------------------------------------------------------------


@pytest.mark.upstream("TestCreate")
@pytest.mark.parametrize("versions", [(0, 0, 0), (7, 13, 12)])
def test_a_new_node_has_itself_as_the_only_member_with_its_versions(versions: tuple[int, int, int]) -> None:
    lone = Lone(protocol_version=1, delegate_versions=versions, meta=b"meta")
    (me,) = lone.swim.members()
    assert (me.name, me.host, me.port, me.meta, me.state) == ("me", "10.0.0.1", 7946, b"meta", State.ALIVE)
    assert me.vsn == bytes((1, 5, 1, *versions))
    assert [event.node for event in lone.started if isinstance(event, NodeJoined)] == [me]


@pytest.mark.upstream("TestDefaultLANConfig_protocolVersion", "TestMemberlistProtocolVersion")
def test_protocol_version_2_is_spoken_by_default() -> None:
    profiles = (Config, Config.lan, Config.local)
    assert [profile("x", "10.0.0.1", 7946).protocol_version for profile in profiles] == [2, 2, 2]
    assert Lone().swim.config.protocol_version == Lone().node("me").vsn[2] == 2


@pytest.mark.upstream("TestCreate_protocolVersion")
def test_protocol_versions_1_to_5_can_be_spoken_and_no_others() -> None:
    for version in range(1, 6):
        assert Lone(protocol_version=version).node("me").vsn[2] == version
    for version in (0, 6):
        with pytest.raises(ValueError, match=f"protocol version {version}; there are 1 to 5"):
            Lone(protocol_version=version)


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"name": ""}, "1 to 512 bytes"),
        ({"name": "x" * 513}, "1 to 512 bytes"),
        ({"meta": bytes(513)}, "513 bytes of metadata; at most 512"),
        ({"advertise_host": "0.0.0.0"}, "0.0.0.0 is not the address of one node"),
        ({"advertise_host": "ff02::1"}, "ff02::1 is not the address of one node"),
        ({"advertise_host": "a b", "dialect": Dialect.DOUDOU}, "address is not a host name"),
    ],
)
def test_a_node_that_the_others_would_refuse_is_not_started(changes: dict[str, Any], fault: str) -> None:
    """Upstream dies of too much metadata, and starts the rest."""
    with pytest.raises(ValueError, match=fault):
        Lone(**changes)


@pytest.mark.upstream("TestAdvertiseAddr")
def test_others_are_told_the_advertised_address() -> None:
    world = World()
    world.add("me", host="10.9.9.9")
    world.add("peer")
    world.join("me", "peer")
    (me,) = (node for node in world.swim("peer").nodes() if node.name == "me")
    assert (me.host, me.port) == ("10.9.9.9", 7946)


# -- joining -----------------------------------------------------------------------------------------------------------


@pytest.mark.upstream("TestMemberlist_Join", "TestTransport_Join")
@pytest.mark.parametrize("dialect", Dialect)
def test_after_a_join_both_sides_see_two_members(dialect: Dialect) -> None:
    world = World(dialect)
    me, peer = world.add("me"), world.add("peer")
    assert world.join("me", "peer") == ""
    assert world.view("me") == world.view("peer") == alive("me", "peer")
    assert (me.known, peer.known) == (2, 2)


@pytest.mark.upstream("TestMemberlist_Join_IPv6")
def test_nodes_with_ipv6_addresses_join_each_other() -> None:
    world = World()
    world.add("me", host="::1")
    world.add("peer", host="fd00::2")
    assert world.join("me", "peer") == ""
    world.run(5.0)
    assert world.view("me") == world.view("peer") == alive("me", "peer")


@pytest.mark.upstream("TestMemberlist_Join_protocolVersions", "TestMemberlist_Join_Protocol_Compatibility")
@pytest.mark.parametrize("versions", [(1, 2), (2, 1), (2, 2), (2, 3), (3, 1), (3, 2), (2, 5), (5, 2)])
@pytest.mark.parametrize("keys", [(), (KEY,)], ids=["plain", "encrypted"])
def test_nodes_of_different_protocol_versions_join_and_go_on_together(
    versions: tuple[int, int], keys: tuple[bytes, ...]
) -> None:
    world = World()
    for name, version in zip(("me", "peer"), versions, strict=True):
        world.add(name, protocol_version=version, keyring=Keyring(keys))
    assert world.join("me", "peer") == ""
    world.run(10.0)
    assert world.view("me") == world.view("peer") == alive("me", "peer")
    assert world.events("me", NodeSuspected) == world.events("me", Problem) == []


LABELS = [("blue", "blue", True), ("blue", "", False), ("", "blue", False), ("blue", "red", False)]


@pytest.mark.upstream("TestMemberlist_Join_with_Labels")
@pytest.mark.parametrize(("ours", "theirs", "joins"), LABELS)
def test_only_nodes_of_the_same_label_join_each_other(ours: str, theirs: str, joins: bool) -> None:
    joined_by_label(ours, theirs, joins)


@pytest.mark.upstream("TestMemberlist_Join_with_Labels_and_Encryption")
@pytest.mark.parametrize(("ours", "theirs", "joins"), LABELS)
def test_the_same_holds_with_encryption(ours: str, theirs: str, joins: bool) -> None:
    joined_by_label(ours, theirs, joins, KEY)


def joined_by_label(ours: str, theirs: str, joins: bool, *keys: bytes) -> None:
    world = World()
    world.add("me", label=ours.encode(), keyring=Keyring(keys))
    world.add("peer", label=theirs.encode(), keyring=Keyring(keys))
    world.add("friend", label=theirs.encode(), keyring=Keyring(keys))
    world.join("friend", "peer")
    assert (world.join("me", "peer") == "") is joins
    world.run(5.0)
    theirs_view = alive("peer", "friend", *(["me"] if joins else []))
    assert world.view("peer") == theirs_view
    assert world.view("me") == (theirs_view if joins else alive("me"))


def test_the_label_is_authenticated_where_something_in_front_takes_it_off() -> None:
    """Both skip the check; only who encrypted under the same label is understood."""
    sealed = {
        label: PacketCodec(Config("x", "10.0.0.9", 7946, label=label), Keyring([KEY]), bytes).wrap(b"\x00\x80")
        for label in (b"blue", b"red")
    }
    lone = Lone(label=b"blue", skip_inbound_label_check=True, keyring=Keyring([KEY]))
    lone.hear(sealed[b"blue"][6:])
    assert len(lone.packets()) == 1
    lone.hear(sealed[b"red"][5:])
    assert (lone.packets(), lone.problems()) == ([], ["bad_packet"])


@pytest.mark.upstream("TestMemberlist_Integ")
def test_sixteen_encrypted_nodes_that_join_one_through_another_all_see_sixteen() -> None:
    world = World()
    names = [f"node-{number}" for number in range(16)]
    for number, name in enumerate(names):
        world.add(name, keyring=Keyring([KEY]))
        if number:
            assert world.join(name, names[number - 1]) == ""
    world.run_until(lambda: all(world.view(name) == alive(*names) for name in names), within=10.0)


@pytest.mark.upstream("TestMemberlist_EncryptedGossipTransition")
def test_a_cluster_goes_from_plain_text_to_encryption_one_node_after_the_other() -> None:
    """Read both, then write encrypted, then refuse plain text; each node is started anew for each step."""
    world = World()
    names = ("a", "b", "c")
    world.start(*names)
    steps: list[dict[str, Any]] = [
        {"verify_incoming": False, "verify_outgoing": False},
        {"verify_incoming": False, "verify_outgoing": True},
        {"verify_incoming": True, "verify_outgoing": True},
    ]
    for number, step in enumerate(steps, 1):
        for name in names:
            world.off(name)
            world.run(1.0)
            world.add(name, keyring=Keyring([KEY]), meta=b"step %d" % number, **step)
            other = names[names.index(name) - 1]
            assert world.join(name, other) == ""
            world.run_until(lambda: all(world.view(name) == alive(*names) for name in names), within=20.0)
        world.run_until(
            lambda: all(node.meta == b"step %d" % number for name in names for node in world.swim(name).members()),  # noqa: B023
            within=20.0,
        )
    world.traffic.clear()
    world.run(10.0)
    assert world.traffic
    assert all(datagram[0] == 1 for _, _, datagram in world.traffic)
    for name in names:
        assert [event.node.name for event in world.events(name, NodeLeft)] == []


# -- who is let in -----------------------------------------------------------------------------------------------------


@pytest.mark.upstream("Test_IsValidAddressDefaults")
def test_without_an_allow_list_every_address_is_admitted() -> None:
    for config in (Config("x", "10.0.0.1", 7946), Config.lan("x", "10.0.0.1", 7946)):
        assert all(config.allows(host) for host in ("127.0.0.1", "10.1.2.3", "8.8.8.8", "::1", "2001:db8::1", "a.name"))


@pytest.mark.upstream("Test_IsValidAddressOverride")
@pytest.mark.parametrize(
    ("cidrs", "admitted", "refused"),
    [
        ((), (), ("127.0.0.1", "8.8.8.8", "::1", "a.name")),
        (("127.0.0.0/8",), ("127.0.0.5", "127.0.0.9", "::ffff:127.0.0.5", "a.name"), ("128.0.0.5", "::1")),
        (("::1/128",), ("::1",), ("127.0.0.1", "::2")),
        (("::1/128", "10.0.0.0/8", "fd00::/8"), ("10.1.1.1", "fd00::7", "::1"), ("8.8.8.8", "fe80::1")),
    ],
)
def test_an_allow_list_admits_the_networks_it_names(
    cidrs: tuple[str, ...], admitted: tuple[str, ...], refused: tuple[str, ...]
) -> None:
    """A name cannot be judged; the sockets ask again for every address that it turns out to have."""
    config = Config("x", "10.0.0.1", 7946, cidrs_allowed=networks(*cidrs))
    assert [host for host in (*admitted, *refused) if config.allows(host)] == list(admitted)


@pytest.mark.upstream("TestMemberlist_JoinDifferentNetworksUniqueMask")
def test_an_allow_list_of_one_wide_network_admits_two_of_its_subnets() -> None:
    world = World()
    allowed = {"cidrs_allowed": networks("10.0.0.0/8")}
    world.add("me", host="10.0.0.1", **allowed)
    world.add("peer", host="10.9.0.1", **allowed)
    assert world.join("me", "peer") == ""
    world.run(5.0)
    assert world.view("me") == world.view("peer") == alive("me", "peer")


@pytest.mark.upstream("TestMemberlist_JoinDifferentNetworksMultiMasks")
def test_a_node_outside_the_allow_list_of_the_others_is_not_admitted_by_anybody() -> None:
    world = World()
    allowed = {"cidrs_allowed": networks("10.0.0.0/24", "10.0.1.0/24")}
    world.add("a", host="10.0.0.1", **allowed)
    world.add("b", host="10.0.1.1", **allowed)
    world.add("rogue", host="10.0.2.1")
    world.join("b", "a")
    world.join("rogue", "a")
    world.run(10.0)
    assert world.view("a") == world.view("b") == alive("a", "b")
    assert "address_not_allowed" in {event.kind for event in world.events("a", Problem)}


def test_packets_and_reply_addresses_outside_the_allow_list_get_no_answer() -> None:
    lone = Lone(cidrs_allowed=networks("10.0.0.0/24"))
    lone.hear(Ping(1), source=("10.0.1.9", 7946))
    lone.hear(Ping(1, "", bytes((10, 0, 1, 9)), 7946, "x"), source=("10.0.0.9", 7946))
    lone.hear(IndirectPing(1, bytes((10, 0, 1, 9)), 7946, "x"), source=("10.0.0.9", 7946))
    assert lone.packets() == []
    assert lone.problems() == ["address_not_allowed"] * 3


@pytest.mark.upstream("TestMemberlist_Join_Cancel_Passive")
def test_a_join_succeeds_although_the_application_admits_nobody() -> None:
    world = World()
    world.add("me", hooks=Hooks(admit=lambda name, host, port, meta: False))
    world.add("peer", hooks=Hooks(admit=lambda name, host, port, meta: False))
    assert world.join("me", "peer") == ""
    assert [world.view("me"), world.view("peer")] == [alive("me"), alive("peer")]


@pytest.mark.upstream("TestMemberlist_conflictDelegate")
def test_two_nodes_of_one_name_are_a_conflict() -> None:
    world = World()
    world.add("peer")
    world.add("twin", host="10.0.9.1")
    impostor = Lone(name="twin", advertise_host="10.0.9.2")
    world.join("twin", "peer")
    impostor.swim.join(world.address("peer"), 0.0)
    (exchange,) = impostor.streams()
    answering = world.swim("peer").accept(("10.0.9.2", 4000), world.now)
    serve(answering, drive(exchange, impostor.now), world.now)
    world.pump()
    (conflict,) = world.events("peer", NodeConflict)
    assert (conflict.node.name, conflict.node.host, conflict.other) == ("twin", "10.0.9.1", ("10.0.9.2", 7946))


# -- metadata ----------------------------------------------------------------------------------------------------------


@pytest.mark.upstream("TestMemberlist_delegateMeta")
def test_metadata_reach_the_other_side_with_the_join() -> None:
    world = World()
    me, peer = world.add("me", meta=b"web"), world.add("peer", meta=b"lb")
    world.join("me", "peer")
    for swim in (me, peer):
        assert {node.name: node.meta for node in swim.members()} == {"me": b"web", "peer": b"lb"}


@pytest.mark.upstream("TestMemberlist_delegateMeta_Update")
def test_changed_metadata_reach_the_others() -> None:
    world = World()
    me, peer = world.start("me", "peer", meta=b"old")
    for swim in (me, peer):
        swim.reconfigure(attrs.evolve(swim.config, meta=b"new"), world.now)
    world.run_until(
        lambda: all(node.meta == b"new" for swim in (me, peer) for node in swim.members()),
        within=1.0,
    )
    assert [event.node.name for event in world.events("me", NodeUpdated)] == ["me", "peer"]


def test_changing_nothing_but_intervals_announces_nothing() -> None:
    lone = Lone(meta=b"meta")
    lone.swim.reconfigure(attrs.evolve(lone.config, probe_interval=7.0), lone.now)
    assert lone.gossip() == []
    assert lone.node("me").incarnation == 1


# -- leaving, stopping, returning --------------------------------------------------------------------------------------


@pytest.mark.upstream("TestMemberlist_Leave")
def test_a_node_that_leaves_is_gone_on_both_sides_and_remembered_as_left() -> None:
    world = World()
    me, peer = world.start("me", "peer")
    me.leave(world.now)
    assert not me.left
    world.run_until(lambda: me.left, within=1.0)
    assert world.view("peer") == {"me": State.LEFT, "peer": State.ALIVE}
    assert world.view("me") == {"me": State.LEFT, "peer": State.ALIVE}
    assert [node.name for node in peer.members()] == ["peer"]
    assert [event.node.state for event in world.events("peer", NodeLeft)] == [State.LEFT]
    world.run(10.0)
    assert world.events("peer", NodeSuspected) == []


def test_of_a_suspect_and_of_a_stranger_it_can_be_told_that_they_have_left() -> None:
    lone = Lone()
    lone.knows("peer", "lost")
    lone.hear(Suspect(1, "lost", "peer"))
    lone.packets()
    for name in ("lost", "stranger"):
        lone.swim.report_left(name, 3, lone.now)
    assert lone.node("lost").state is State.LEFT
    lone.run(2.0)
    told = {(report.node, report.incarnation, report.reporter) for _, report in lone.sent(Dead)}
    assert told == {("lost", 3, "lost"), ("stranger", 3, "stranger")}


@pytest.mark.parametrize("name", ["me", "peer"])
def test_of_a_node_that_is_alive_nobody_is_told_that_it_has_left(name: str) -> None:
    lone = Lone()
    lone.knows("peer")
    with pytest.raises(ValueError, match="is alive"):
        lone.swim.report_left(name, 9, lone.now)
    lone.run(2.0)
    assert lone.sent(Dead) == []


def test_a_node_alone_has_nobody_to_tell_that_it_leaves() -> None:
    lone = Lone()
    lone.swim.leave(lone.now)
    assert lone.swim.left
    lone.swim.leave(lone.now)
    assert len(lone.happened(NodeLeft)) == 1


def test_what_is_said_about_a_node_that_has_left_does_not_bring_it_back() -> None:
    lone = Lone()
    lone.swim.leave(lone.now)
    own = lone.node("me")
    lone.hear(statement("me", 9, host="10.0.0.1"))
    assert lone.node("me") == own


def test_a_node_that_left_may_return() -> None:
    """Upstream's can not."""
    world = World()
    me, _ = world.start("me", "peer")
    me.leave(world.now)
    world.run_until(lambda: me.left, within=1.0)
    me.rejoin(world.now)
    world.join("me", "peer")
    assert world.view("peer") == world.view("me") == alive("me", "peer")
    world.run(10.0)
    assert world.view("peer") == alive("me", "peer")


def test_a_node_that_left_long_ago_still_knows_itself_and_may_return() -> None:
    """It would be reaped like the others, send push/pulls without nodes, and not be able to return."""
    lone = Lone(gossip_to_the_dead_time=5.0)
    lone.knows("a")
    lone.swim.leave(lone.now)
    lone.run(60.0)
    assert {node.name: node.state for node in lone.swim.nodes()} == {"me": State.LEFT}
    lone.swim.rejoin(lone.now)
    assert lone.state("me") is State.ALIVE


def test_a_node_that_left_does_not_look_for_the_others() -> None:
    lone = Lone()
    lone.swim.remember_seeds([("10.0.0.2", 7946)])
    lone.run(60.0)
    for exchange in lone.streams():
        exchange.abort("nobody answers", lone.now)
    lone.swim.leave(lone.now)
    lone.run(120.0)
    assert lone.streams() == []
    lone.swim.rejoin(lone.now)
    lone.run(60.0)
    assert lone.streams() != []


@pytest.mark.upstream("TestMemberlist_JoinShutdown")
def test_a_node_that_stops_without_a_word_is_found_out_and_removed() -> None:
    world = World()
    me, _ = world.start("me", "peer")
    world.off("peer")
    world.run_until(lambda: [node.name for node in me.members()] == ["me"], within=10.0)
    assert [event.node.state for event in world.events("me", NodeLeft)] == [State.DEAD]
    world.run_until(lambda: me.known == 1, within=60.0)


def test_a_node_that_was_restarted_at_once_is_the_same_member() -> None:
    world = World()
    world.start("me", "peer")
    world.off("peer")
    world.add("peer", meta=b"second life")
    world.join("peer", "me")
    world.run(5.0)
    assert world.view("me") == alive("me", "peer")
    assert {node.name: node.meta for node in world.swim("me").members()}["peer"] == b"second life"
    assert world.events("me", NodeLeft) == []
