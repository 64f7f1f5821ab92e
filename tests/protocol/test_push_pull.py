"""The exchange of full states, over streams; and what a stream refuses."""

from __future__ import annotations

import random
from typing import Any

import msgpack
import pytest
from support.cluster import VSN, Lone, World, alive, codec
from support.streams import drive, serve

from pydoudou.drivers.memberlist.protocol import Dialect, Hooks, Keyring, State, stream_reader
from pydoudou.drivers.memberlist.protocol.encryption import decrypt, encrypt
from pydoudou.drivers.memberlist.protocol.events import NodeJoined, NodeLeft, NodeSuspected, Problem, UserMessage
from pydoudou.drivers.memberlist.protocol.messages import Ack, Dead, Ping, Suspect
from pydoudou.drivers.memberlist.protocol.stream_exchange import Close, StreamExchange
from pydoudou.drivers.memberlist.protocol.stream_layers import framed
from pydoudou.drivers.memberlist.protocol.stream_messages import PushPullHeader, PushPullNode, entry_of
from pydoudou.drivers.memberlist.protocol.stream_reader import MAX_NODES, MAX_USER_BYTES

KEY, OTHER_KEY = bytes(range(16)), bytes(range(16, 32))


def record(
    name: str, state: State | int = State.ALIVE, incarnation: int = 1, *, host: int = 9, vsn: bytes = VSN
) -> PushPullNode:
    return PushPullNode(name, bytes((10, 0, 0, host)), 7946, None, incarnation, state, vsn)


def state_of(*records: PushPullNode, join: bool = False, user_state: bytes = b"") -> bytes:
    header = PushPullHeader(len(records), len(user_state), join)
    return b"".join([header.encode(), *(each.encode() for each in records), user_state])


def read_state(data: bytes) -> tuple[dict[bytes, Any], dict[str, dict[bytes, Any]]]:
    """Header and records of a plain push/pull, by a decoder that is not ours."""
    assert data[:1] == b"\x06"
    reader = msgpack.Unpacker(raw=True)
    reader.feed(data[1:])
    header = reader.unpack()
    records = [reader.unpack() for _ in range(header[b"Nodes"])]
    return header, {each[b"Name"].decode(): each for each in records}


# -- answering ---------------------------------------------------------------------------------------------------------


@pytest.mark.upstream("TestTCPPushPull", "TestMemberlist_PushPull")
def test_a_push_pull_is_answered_with_everything_we_know() -> None:
    lone = Lone(hooks=Hooks(local_state=lambda join: b"state"))
    lone.knows("a", "b", "c", "d")
    lone.hear(Suspect(1, "b", "x"), Dead(1, "c", "x"), Dead(1, "d", "d"))
    answer, exchange = lone.accept(state_of(record("e", host=8), join=True))
    header, records = read_state(answer)
    assert (header[b"Join"], header[b"Nodes"], header[b"UserStateLen"]) == (True, 5, 5)
    assert answer.endswith(b"state")
    assert {name: each[b"State"] for name, each in records.items()} == {"me": 0, "a": 0, "b": 1, "c": 2, "d": 3}
    assert records["me"] == {
        b"Name": b"me", b"Addr": bytes((10, 0, 0, 1)), b"Port": 7946, b"Meta": None, b"Incarnation": 1, b"State": 0,
        b"Vsn": VSN,
    }  # fmt: skip
    assert exchange.done
    assert exchange.failure == ""
    assert lone.state("e") is State.ALIVE


def test_a_push_pull_without_nodes_is_answered_too() -> None:
    """Not every implementation survives one."""
    lone = Lone()
    answer, exchange = lone.accept(state_of(join=True))
    assert list(read_state(answer)[1]) == ["me"]
    assert exchange.failure == ""


def test_we_never_send_one_without_nodes() -> None:
    lone = Lone()
    lone.swim.join(("10.0.0.2", 7946), lone.now)
    (exchange,) = lone.streams()
    assert list(read_state(drive(exchange, lone.now))[1]) == ["me"]
    lone.swim.leave(lone.now)
    lone.run(1.0)
    lone.swim.join(("10.0.0.2", 7946), lone.now)
    (exchange,) = lone.streams()
    assert {name: each[b"State"] for name, each in read_state(drive(exchange, lone.now))[1].items()} == {"me": 3}


def test_of_a_state_that_is_known_nothing_is_decoded_but_what_differs(monkeypatch: pytest.MonkeyPatch) -> None:
    lone = Lone()
    lone.hear(*(alive(name) for name in ("a", "b", "c")))
    state, _ = lone.accept(state_of())
    decoded = []

    def counting(value: Any) -> Any:
        entry = entry_of(value)
        decoded.append(entry[0])
        return entry

    monkeypatch.setattr(stream_reader, "entry_of", counting)
    lone.accept(state)
    assert decoded == []
    lone.hear(alive("b", 2), Suspect(1, "c", "a"))
    lone.accept(state)
    assert sorted(decoded) == ["b", "c"]


@pytest.mark.parametrize("cut", [1, 7, 64, 1000])
def test_a_known_state_may_come_in_pieces(cut: int) -> None:
    lone = Lone()
    lone.hear(*(alive(name) for name in "abcdefgh"))
    state, _ = lone.accept(state_of())
    news = [
        PushPullNode(name, bytes((10, 0, 3, at)), 7946, b"m" * 300, 1, State.ALIVE, VSN)
        for at, name in enumerate("ijkl", 1)
    ]
    header, known = PushPullHeader(9 + 4, 0, False).encode(), state[len(PushPullHeader(9, 0, False).encode()) :]
    _, exchange = lone.accept(header + known + b"".join(node.encode() for node in news), cut=cut)
    assert exchange.failure == ""
    assert {node.name for node in lone.swim.nodes()} == {"me", *"abcdefghijkl"}


def test_the_answer_does_not_contain_what_the_question_told() -> None:
    """As in Go: the state goes out before the other's is merged."""
    lone = Lone()
    answer, _ = lone.accept(state_of(record("a")))
    assert list(read_state(answer)[1]) == ["me"]
    assert lone.state("a") is State.ALIVE


# -- merging -----------------------------------------------------------------------------------------------------------


@pytest.mark.upstream("TestMemberList_MergeState")
def test_what_a_peer_knows_is_merged_and_nobodys_word_is_taken_for_a_death() -> None:
    lone = Lone()
    lone.knows("newer", "suspect", "dead")
    hosts = {name: int(lone.node(name).host.rsplit(".", 1)[1]) for name in ("newer", "suspect", "dead")}
    records = [
        PushPullNode("newer", bytes((10, 0, 1, hosts["newer"])), 7946, None, 2, State.ALIVE, VSN),
        PushPullNode("suspect", bytes((10, 0, 1, hosts["suspect"])), 7946, None, 1, State.SUSPECT, VSN),
        PushPullNode("dead", bytes((10, 0, 1, hosts["dead"])), 7946, None, 1, State.DEAD, VSN),
        record("new", incarnation=2),
    ]
    lone.push_pull(*records)
    assert lone.node("newer").incarnation == 2
    assert lone.state("suspect") is lone.state("dead") is State.SUSPECT
    assert lone.state("new") is State.ALIVE
    events = lone.events()
    assert [event.node.name for event in events if isinstance(event, NodeJoined)] == ["new"]
    assert [event.node.name for event in events if isinstance(event, NodeSuspected)] == ["suspect", "dead"]
    assert [event for event in events if isinstance(event, NodeLeft)] == []


def test_a_peer_that_holds_a_node_gone_is_believed() -> None:
    lone = Lone()
    lone.knows("a")
    lone.push_pull(record("a", State.LEFT))
    assert lone.state("a") is State.LEFT


@pytest.mark.parametrize("state", [State.SUSPECT, State.DEAD, State.LEFT, 99, -1])
def test_an_unknown_node_in_another_state_than_alive_is_ignored(state: int) -> None:
    lone = Lone()
    lone.push_pull(record("a", state))
    assert lone.swim.known == 1


def test_a_peer_that_holds_us_dead_is_refuted() -> None:
    lone = Lone()
    lone.push_pull(record("me", State.DEAD, 5, host=1))
    assert lone.node("me").incarnation == 6


def test_one_odd_record_does_not_keep_the_others_from_being_merged() -> None:
    """Upstream refuses the whole merge, and every later one."""
    lone = Lone()
    exchange = lone.push_pull(record("odd", vsn=b""), record("poison", vsn=bytes((5, 5, 5, 0, 0, 0))), record("a"))
    assert exchange.failure == ""
    assert {node.name for node in lone.swim.nodes()} == {"me", "a"}
    assert lone.problems() == ["alive_refused"] * 2


@pytest.mark.upstream("TestVerifyProtocol")
@pytest.mark.parametrize(
    ("ours", "theirs", "fits"),
    [
        ((2, (0, 0, 0)), bytes((1, 5, 2, 0, 0, 0)), True),
        ((2, (0, 0, 0)), bytes((1, 5, 5, 0, 0, 0)), True),
        ((5, (0, 0, 0)), bytes((1, 5, 1, 0, 0, 0)), True),
        ((2, (0, 0, 0)), bytes((1, 2, 2, 0, 0, 0)), True),
        ((5, (0, 0, 0)), bytes((1, 4, 4, 0, 0, 0)), False),
        ((2, (0, 0, 0)), bytes((3, 5, 3, 0, 0, 0)), False),
        ((2, (0, 0, 0)), bytes((1, 9, 7, 0, 0, 0)), False),
        ((2, (1, 5, 3)), bytes((1, 5, 2, 2, 6, 4)), True),
        ((2, (1, 5, 3)), bytes((1, 5, 2, 4, 6, 5)), False),
        ((2, (1, 5, 3)), bytes((1, 5, 2, 1, 2, 2)), False),
        ((2, (1, 5, 3)), bytes((1, 5, 2, 1, 9, 6)), False),
        ((2, (3, 5, 3)), bytes((1, 5, 2, 1, 5, 2)), False),
    ],
)
def test_versions_fit_if_each_side_speaks_what_the_other_understands(
    ours: tuple[int, tuple[int, int, int]], theirs: bytes, fits: bool
) -> None:
    version, delegate_versions = ours
    lone = Lone(protocol_version=version, delegate_versions=delegate_versions)
    lone.push_pull(record("a", vsn=theirs), record("b", vsn=lone.config.vsn, host=8))
    assert (lone.state("a") is State.ALIVE) is fits
    assert lone.state("b") is State.ALIVE


@pytest.mark.upstream("TestMemberlist_Join_Cancel")
def test_the_application_may_refuse_a_merge_on_either_side() -> None:
    seen: list[list[tuple[str, int]]] = []

    def refuse(records: Any) -> bool:
        seen.append([(each.name, each.state) for each in records])
        return False

    world = World()
    world.add("me", hooks=Hooks(merge=refuse))
    world.add("peer", hooks=Hooks(merge=refuse))
    assert world.join("me", "peer") == "the application refused the merge"
    assert sorted(seen) == [[("me", 0)], [("peer", 0)]]
    assert [world.view("me"), world.view("peer")] == [{"me": State.ALIVE}, {"peer": State.ALIVE}]


def test_only_joins_are_asked_about() -> None:
    lone = Lone(hooks=Hooks(merge=lambda records: pytest.fail("asked")))
    assert lone.push_pull(record("a")).failure == ""
    assert lone.state("a") is State.ALIVE


@pytest.mark.upstream("TestMemberlist_PushPull")
def test_the_periodic_push_pull_finds_what_gossip_missed() -> None:
    world = World()
    world.start("me", "peer")
    world.passes = lambda source, target, transport: transport == "tcp"
    world.swim("me").packet_received(alive("new", host="10.0.7.1").encode(), ("10.0.7.1", 7946), world.now)
    world.run_until(lambda: "new" in world.view("peer"), within=31.0)


# -- strangers that know us --------------------------------------------------------------------------------------------


STRANGER = ("10.0.5.1", 7946)


def dialled_after_a_ping(source: tuple[str, int], names: bytes, port: int = 7946, **changes: Any) -> list[Any]:
    """Whom a node dials that is pinged by a stranger, which says that it is to be answered there."""
    lone = Lone(**changes)
    lone.hear(Ping(1, "me", names, port, "stranger"), source=source)
    return [exchange.address for exchange in lone.streams()]


def test_a_stranger_that_pings_us_is_asked_whom_it_knows() -> None:
    assert dialled_after_a_ping(STRANGER, bytes((10, 0, 5, 1))) == [STRANGER]


@pytest.mark.parametrize(
    ("names", "port"), [(bytes((10, 0, 9, 9)), 7946), (bytes((10, 0, 5, 1)), 80)], ids=["a third host", "another port"]
)
def test_no_stranger_has_us_dial_another_address_than_its_own(names: bytes, port: int) -> None:
    assert dialled_after_a_ping(STRANGER, names, port) == []


def test_a_stranger_with_a_host_name_is_dialled_where_its_ping_came_from() -> None:
    """Whatever the name stands for."""
    assert dialled_after_a_ping(STRANGER, b"www.example.org", dialect=Dialect.DOUDOU) == [STRANGER]


def test_strangers_are_asked_once_per_probe_interval() -> None:
    lone = Lone()
    for number in range(20):
        ping = Ping(number, "me", bytes((10, 0, 5, number)), 7946, f"stranger-{number}")
        lone.hear(ping, source=(f"10.0.5.{number}", 7946))
    assert len(lone.streams()) == 1


# -- pings over TCP ----------------------------------------------------------------------------------------------------


def tcp_ping(lone: Lone) -> tuple[StreamExchange, bytes]:
    """The ping over TCP of a probe that stays without an ack, and what it writes."""
    lone.until_sent(Ping)
    lone.run(0.5)
    written = ((exchange, drive(exchange, lone.now)) for exchange in lone.streams())
    return next((exchange, question) for exchange, question in written if question[:1] == b"\x00")


@pytest.mark.upstream("TestTCPPing")
def test_an_ack_over_tcp_with_the_number_of_the_probe_saves_the_node() -> None:
    lone = Lone()
    lone.knows("a")
    exchange, question = tcp_ping(lone)
    assert Ping.decode(question[1:]).node == "a"
    serve(exchange, Ack(1).encode(), lone.now)
    assert (exchange.done, exchange.failure) == (True, "")
    lone.run(1.0)
    assert lone.state("a") is State.ALIVE


@pytest.mark.upstream("TestTCPPing")
@pytest.mark.parametrize(
    "answer",
    [Ack(2).encode(), Ping(1).encode(), b"\x06\x80", b"\x63", b""],
    ids=["number", "ping", "state", "?", "end"],
)
def test_any_other_answer_does_not(answer: bytes) -> None:
    lone = Lone()
    lone.knows("a")
    exchange, _ = tcp_ping(lone)
    serve(exchange, answer, lone.now)
    exchange.received(b"", lone.now)
    assert exchange.failure
    lone.run_until(lambda: lone.state("a") is State.SUSPECT, within=1.0)


@pytest.mark.upstream("TestTCPPing")
def test_nor_does_a_closed_port() -> None:
    lone = Lone()
    lone.knows("a")
    tcp_ping(lone)[0].abort("connection refused", lone.now)
    lone.events()
    lone.run_until(lambda: lone.state("a") is State.SUSPECT, within=1.0)
    assert lone.problems() == []


def test_a_ping_over_tcp_for_another_node_is_closed_without_a_word() -> None:
    lone = Lone()
    answer, exchange = lone.accept(Ping(5, "other").encode())
    assert answer == b""
    assert "ping for another node" in exchange.failure
    assert lone.accept(Ping(5, "me").encode())[0] == lone.accept(Ping(5).encode())[0] == Ack(5).encode()


# -- layers of a stream ------------------------------------------------------------------------------------------------


@pytest.mark.upstream("TestEncryptDecryptState")
@pytest.mark.parametrize("version", [1, 2], ids=["version 0", "version 1"])
@pytest.mark.parametrize("compression", [False, True])
@pytest.mark.parametrize("label", [b"", b"blue"])
def test_a_message_comes_back_out_of_all_layers(version: int, compression: bool, label: bytes) -> None:
    fields: dict[str, Any] = {"protocol_version": version, "compression": compression, "label": label}
    lone = Lone(keyring=Keyring([KEY]), **fields)
    message = b"\x08\x81\xaaUserMsgLen\x05hello"
    data = framed(codec(lone.config, lone.swim.keyring), message, dialled=True)
    assert b"hello" not in data
    lone.accept(data, cut=3)
    assert lone.happened(UserMessage) == [UserMessage(b"hello", reliable=True)]


@pytest.mark.upstream("TestGossip_MismatchedKeys")
def test_nodes_with_different_keys_do_not_join_and_both_report_why() -> None:
    world = World()
    world.add("me", keyring=Keyring([KEY]))
    world.add("peer", keyring=Keyring([OTHER_KEY]))
    assert world.join("me", "peer") == "no installed key can decrypt the message"
    for name in ("me", "peer"):
        assert list(world.view(name)) == [name]
        assert "no installed key can decrypt the message" in [each.detail for each in world.events(name, Problem)]


def test_a_dialler_without_the_key_is_told_so() -> None:
    world = World()
    world.add("plain")
    world.add("sealed", keyring=Keyring([KEY]))
    assert world.join("sealed", "plain") == "encryption is configured but remote state is not encrypted"
    assert world.join("plain", "sealed") == "remote state is encrypted and encryption is not configured"


def test_the_error_reply_of_a_keyless_node_can_be_read_by_one_that_does_not_insist_on_encryption() -> None:
    world = World()
    world.add("plain")
    world.add("sealed", keyring=Keyring([KEY]), verify_incoming=False)
    expected = "remote error: remote state is encrypted and encryption is not configured"
    assert world.join("sealed", "plain") == expected


@pytest.mark.parametrize("announced", [20 * 1024 * 1024 + 1, 2**32 - 1])
def test_a_sealed_message_that_announces_too_many_bytes_is_refused_before_it_comes(announced: int) -> None:
    keyring = Keyring([KEY])
    answer, exchange = Lone(keyring=keyring).accept(b"\x0a" + announced.to_bytes(4, "big"))
    assert exchange.failure == f"remote node state is larger than limit ({announced})"
    assert str(announced).encode() in decrypt(keyring, answer[5:], answer[:5])


def test_the_length_of_a_sealed_message_is_authenticated() -> None:
    keyring = Keyring([KEY])
    payload = encrypt(keyring, 1, Ping(5).encode(), b"\x0a" + bytes(4), random.Random(1).randbytes)
    _, exchange = Lone(keyring=keyring).accept(b"\x0a" + len(payload).to_bytes(4, "big") + payload)
    assert exchange.failure == "no installed key can decrypt the message"


@pytest.mark.upstream("TestReadRemoteState_Limits")
@pytest.mark.parametrize(
    ("nodes", "user_state_bytes", "refusal"),
    [
        (10_000_000, 0, "number of nodes in header (10000000) exceeds limit"),
        (MAX_NODES + 1, 0, f"number of nodes in header ({MAX_NODES + 1}) exceeds limit"),
        (-1, 0, "number of nodes in header (-1) exceeds limit"),
        (0, 30_000_000, "user state length (30000000) exceeds limit"),
        (0, MAX_USER_BYTES + 1, f"user state length ({MAX_USER_BYTES + 1}) exceeds limit"),
        (0, -1, "user state length (-1) exceeds limit"),
    ],
)
def test_a_push_pull_that_announces_too_much_is_refused(nodes: int, user_state_bytes: int, refusal: str) -> None:
    answer, exchange = Lone().accept(PushPullHeader(nodes, user_state_bytes, True).encode())
    assert (answer, exchange.failure) == (b"", refusal)


@pytest.mark.upstream("TestReadUserMsg_Limit")
@pytest.mark.parametrize("size", [-1, 30_000_000, MAX_USER_BYTES + 1])
def test_a_user_message_that_announces_too_much_is_refused(size: int) -> None:
    _, exchange = Lone().accept(b"\x08" + msgpack.packb({b"UserMsgLen": size}))
    assert exchange.failure == f"user message length ({size}) exceeds limit"


@pytest.mark.upstream("TestHandleConn_NilConnAfterRemoveLabelHeaderFromStream")
@pytest.mark.parametrize("began", [b"", b"\xf4", b"\xf4\x05bl"])
def test_a_connection_that_breaks_within_the_label_is_closed_without_harm(began: bytes) -> None:
    lone = Lone(label=b"blue!")
    exchange = lone.swim.accept(("10.0.0.9", 4000), lone.now)
    if began:
        exchange.received(began, lone.now)
    exchange.abort("connection broken: reset", lone.now)
    exchange.received(b"ue!", lone.now)
    assert exchange.next_step(lone.now) == Close("connection broken: reset")
    assert Lone(label=b"blue!").accept(b"\xf4\x05blue!" + Ping(5).encode())[0] == Ack(5).encode()
