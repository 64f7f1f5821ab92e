"""Messages between a registrar and its workers: whole, in pieces, and such that are none."""

from __future__ import annotations

import struct
from datetime import UTC, datetime
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pydoudou import DiscoveryError, Member, MemberState, MetadataTooLarge, RegistrationError
from pydoudou.contrib.servers.registrar.frames import LONGEST, VERSION, BadFrame, Frames, frame
from pydoudou.contrib.servers.registrar.hub import refusal
from pydoudou.contrib.servers.registrar.messages import (
    RegistrarState,
    error_of,
    hello,
    member_of,
    members,
    plain_error,
)

MESSAGES = [{"kind": "hello", "version": 1}, {"kind": "probe", "member": ["orders", "10.0.0.1", 80]}, {"kind": "x"}]
MEMBER = Member(
    "orders",
    "10.0.0.1",
    80,
    root_path="/v1",
    weight=2.5,
    state=MemberState.SUSPECT,
    data={"zone": "a", "n": 1, "raw": b"\xff", "odd": "\ud800"},
    node="node",
    sources=("memberlist", "nacos"),
    registered_at=datetime(2026, 1, 2, tzinfo=UTC),
    announced_weight=True,
)


@given(st.lists(st.sampled_from(MESSAGES)), st.data())
def test_messages_arrive_however_the_bytes_are_cut(sent: list[dict[str, Any]], data: st.DataObject) -> None:
    rest, frames, arrived = b"".join(map(frame, sent)), Frames(), []
    while rest:
        size = data.draw(st.integers(1, len(rest)))
        arrived += frames.feed(rest[:size])
        rest = rest[size:]
    assert arrived == sent
    assert not frames.partial


def test_half_a_message_waits_and_is_known_to() -> None:
    whole, frames = frame(MESSAGES[1]), Frames()
    assert [*frames.feed(whole[:-1])] == []
    assert frames.partial
    assert [*frames.feed(whole[-1:])] == [MESSAGES[1]]


@pytest.mark.parametrize(
    "payload",
    [b"", b"\xc1", b"\x91" * 100_000, msgpack.packb(7), msgpack.packb({"version": 1}), msgpack.packb({"kind": 1})],
    ids=["nothing", "no MessagePack", "nested", "no map", "no kind", "a kind that is no text"],
)
def test_what_is_no_message_is_told_apart(payload: bytes) -> None:
    with pytest.raises(BadFrame):
        list(Frames().feed(struct.pack("!I", len(payload)) + payload))


@given(st.binary(max_size=200))
def test_any_bytes_are_messages_or_wait_or_are_bad(received: bytes) -> None:
    frames = Frames()
    try:
        for message in frames.feed(received):
            assert isinstance(message["kind"], str)
    except BadFrame:
        pass


def test_a_message_that_is_announced_too_long_is_refused_before_it_is_held() -> None:
    with pytest.raises(BadFrame, match="is announced"):
        list(Frames().feed(struct.pack("!I", LONGEST + 1)))


@pytest.mark.parametrize("member", [MEMBER, Member("orders", "::1", 80)], ids=["everything", "little"])
def test_a_member_is_the_same_afterwards(member: Member) -> None:
    (message,) = Frames().feed(frame(members([member], whole=True)))
    assert [member_of(plain) for plain in message["members"]] == [member]


def test_what_cannot_be_sent_is_named() -> None:
    with pytest.raises(TypeError, match="of the type object"):
        frame({"kind": "register", "data": {"x": object()}})


def test_a_state_is_the_same_afterwards() -> None:
    state = RegistrarState(ready=True, reason="why", nodes=3, doubt="late")
    (message,) = Frames().feed(frame(state.to_message()))
    assert RegistrarState.of_message(message) == state


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (RegistrationError("refused"), RegistrationError),
        (MetadataTooLarge("too large", size=600, limit=512), MetadataTooLarge),
        (OSError("disk"), DiscoveryError),
        (KeyError("x"), DiscoveryError),
    ],
)
def test_an_error_keeps_its_type_and_text(error: Exception, kind: type[Exception]) -> None:
    (message,) = Frames().feed(frame({"kind": "reply", "error": plain_error(error)}))
    again = error_of(message["error"])
    assert type(again) is kind
    assert str(error) in str(again)
    assert getattr(again, "size", None) == getattr(error, "size", None)


def test_a_worker_of_another_version_is_told_both() -> None:
    assert refusal(hello("settings", True), "settings", "process 7") == ""
    other = {**hello("settings", True), "version": VERSION + 1}
    assert (
        refusal(other, "settings", "process 7")
        == f"process 7 speaks version {VERSION}, and this is version {VERSION + 1}"
    )


def test_a_worker_with_other_settings_is_told_who_holds_the_place() -> None:
    assert refusal(hello("theirs", True), "ours", "process 7") == "process 7 holds that, with other settings"


def test_who_says_something_else_first_is_refused() -> None:
    assert "'probe'" in refusal({"kind": "probe"}, "settings", "process 7")
