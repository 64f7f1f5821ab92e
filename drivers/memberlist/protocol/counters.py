"""What a node counts, by stable names: dashboards are built on them.

`Context.counters` is raised where a thing happens; here stands what that means. A counter only grows, a gauge is a
present value. Whoever shows the numbers makes its own metrics of these rows.
"""

from __future__ import annotations

from typing import Literal

import attrs

__all__ = ["COUNTERS", "GAUGES", "Row"]


@attrs.frozen
class Row:
    """One number: `name` has no unit and no kind in it, `help` is a line for a person, `unit` is ``bytes`` or ""."""

    name: str
    kind: Literal["counter", "gauge"]
    help: str
    unit: str = ""


_COUNTED = {
    # membership
    "nodes_joined": "nodes that came or came back, ourselves included",
    "nodes_gone": "nodes that were declared dead or left",
    "statements_applied": "alive messages that told something new",
    "suspicions": "nodes that came under suspicion",
    "suspicions_unconfirmed": "suspicions that ended in a death without the confirmations they waited for",
    "refutations": "reports about ourselves that we had to refute",
    "refutations_repeated": "reporters that were told once more what we had refuted",
    "weights_applied": "dynamic weights that were news",
    "name_conflicts": "claims of a node's name from another address",
    "not_admitted": "statements that the application refused",
    # datagrams
    "packets_received": "datagrams that arrived, whoever sent them",
    "packets_sent": "datagrams that were given out to be sent",
    # failure detector
    "probes_failed": "probes without any answer in time",
    "probes_degraded": "probes that were given more time, because our own health was bad",
    "probes_hinted": "probes out of turn, because a call to the node had failed",
    "probes_answered_over_tcp": "probes that were answered over TCP only: UDP may be blocked",
    "stood_still": "times that this process stood still for longer than a probe timeout",
    # push/pull
    "push_pulls": "states that we set out to exchange",
    "reconnects_tried": "attempts to find again members that were lost, and seeds",
    "reconnects": "such attempts that succeeded",
    # what was dropped
    "bad_packet": "datagrams whose layers could not be read",
    "bad_message": "messages in datagrams that could not be read or are not allowed",
    "bad_stream": "connections that ended because of what came",
    "work_refused": "compressed or very full datagrams beyond what there is time for",
    "address_not_allowed": "packets, connections and members outside of the allow-list",
    "alive_refused": "statements of members that would do harm",
    "incarnation_refused": "reports at an incarnation that no node can be at",
    "weight_refused": "dynamic weights out of range",
    "ping_for_another_node": "pings meant for a node that was at our address before",
    "answer_from_elsewhere": "acks and nacks from an address that was not asked",
    "unusable_reply_address": "requests that name an address where nobody can be answered",
    "too_many_indirect_pings": "requests for help beyond those that can be under way",
    "too_many_connections": "connections beyond those that may be open",
    "streams_full": "connections ended because all together held too much",
    "cannot_accept": "connections that could not be accepted, for lack of file descriptors for example",
    "no_memory": "times that memory ran out over what somebody sent",
}

COUNTERS = tuple(Row(name, "counter", text) for name, text in _COUNTED.items())

GAUGES = (
    Row("health_score", "gauge", "local health (Lifeguard): 0 is healthy, 7 by default the worst"),
    Row("queued", "gauge", "messages that gossip still has to spread"),
    Row("streams_accepted", "gauge", "connections of others that are open"),
    Row("streams_open", "gauge", "connections that are open, those that we dialled included"),
    Row("stream_bytes_held", "gauge", "what those hold in memory, at the most", "bytes"),
)
