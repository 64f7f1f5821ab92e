"""Which statements about a node are taken at all: limits that keep a member from doing harm just by being known.

Go admits nearly everything. A node without versions then makes every later merge fail, for everybody; one at the last
incarnation there is can never be refuted.
"""

from __future__ import annotations

from .config import META_MAX_BYTES, NAME_MAX_BYTES, PROTOCOL_MAX, PROTOCOL_MIN
from .context import Context
from .errors import ProtocolError
from .gomsgpack import text_of
from .messages import Alive
from .node_list import NodeRecord

__all__ = [
    "MAX_INCARNATION",
    "MAX_INCARNATION_JUMP",
    "MAX_REPORTED_JUMP",
    "admitted_host",
    "check_fields",
    "check_incarnation",
    "check_metadata",
    "check_versions",
]

MAX_INCARNATION = 2**32 - 2**16
MAX_INCARNATION_JUMP = 2**24
"""No node refutes so often between two messages that the same peer hears of it."""
MAX_REPORTED_JUMP = 2**16
"""The same for what others report of a node. Far less, because the node refutes above it: whatever it adopts in that
way, and were it some hundred times in a row, everybody else still has to accept.
"""


def check_fields(message: Alive, our_versions: bytes) -> None:
    """Whether the name, the port and the versions of a node are in order.

    Raises:
        ProtocolError: they are not.
    """
    size = len(text_of(message.node))
    if not 0 < size <= NAME_MAX_BYTES:
        raise ProtocolError(f"a name of {size} bytes")
    if not 0 < message.port <= 0xFFFF:
        raise ProtocolError("port 0")
    check_versions(message.vsn, our_versions)


def check_metadata(meta: bytes | None) -> None:
    """Whether metadata have an acceptable size.

    Raises:
        ProtocolError: they are too long.
    """
    if meta is not None and len(meta) > META_MAX_BYTES:
        raise ProtocolError(f"metadata of {len(meta)} bytes")


def check_incarnation(incarnation: int, known: NodeRecord | None, jump: int = MAX_INCARNATION_JUMP) -> None:
    """Whether a node can be at this incarnation.

    Raises:
        ProtocolError: it is about to wrap, or far above the one we know.
    """
    if incarnation >= MAX_INCARNATION:
        raise ProtocolError(f"incarnation {incarnation} is about to wrap")
    if known is not None and incarnation > known.incarnation + jump:
        raise ProtocolError(f"incarnation {incarnation} is far above the known one, {known.incarnation}")


def check_versions(vsn: bytes, ours: bytes) -> None:
    """Whether a node of these versions and we can talk to each other.

    Go compares the extremes of all nodes and refuses every merge when a single record is odd; here an odd record is
    refused by itself.

    Raises:
        ProtocolError: version bytes are missing, contradict themselves, or do not overlap with ours.
    """
    if vsn == ours:
        return
    if len(vsn) < 6:
        raise ProtocolError(f"{len(vsn)} version bytes, expected 6")
    least, most, spoken, app_least, app_most, app_spoken = vsn[:6]
    if not 0 < least <= spoken <= most:
        raise ProtocolError(f"protocol version {spoken} is not within {least} to {most}")
    if not (least <= ours[2] <= most and PROTOCOL_MIN <= spoken <= PROTOCOL_MAX):
        raise ProtocolError(f"protocol versions {least} to {most} do not include ours, {ours[2]}")
    if not (app_least <= ours[5] <= app_most and ours[3] <= app_spoken <= ours[4]):
        raise ProtocolError(f"application versions {app_least} to {app_most} do not include ours, {ours[5]}")


def admitted_host(context: Context, message: Alive, known: NodeRecord | None, *, own: bool) -> str | None:
    """The host of a member we would admit, else None. What a known node repeats was checked before."""
    config = context.config
    try:
        check_incarnation(message.incarnation, known)
        check_metadata(message.meta)
        if known is None or message.port != known.port or message.vsn != known.vsn:
            check_fields(message, context.vsn)
        if known is not None and message.addr == known.addr:
            host = known.host
        else:
            host = config.dialect.decode_host(message.addr)
    except ProtocolError as error:
        context.problem("alive_refused", f"{message.node[:80]}: {error}")
        return None
    if own:
        return host
    if not config.allows(host):
        context.problem("address_not_allowed", f"{message.node} at {host}")
        return None
    admit = context.hooks.admit
    if admit is not None and not admit(message.node, host, message.port, message.meta or b""):
        context.counters["not_admitted"] += 1
        return None
    return host
