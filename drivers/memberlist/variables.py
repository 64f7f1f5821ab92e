"""The variables of the gossip driver, for the manual."""

from __future__ import annotations

from ..documented import Documented

__all__ = ["DYNAMIC", "VARIABLES"]

VARIABLES = (
    Documented(
        "GDD_MEM_SEED",
        "–",
        "list",
        "nodes to join through: `host`, `host:port`, an IPv6 address, `[IPv6]:port`; port 7946 unless given. "
        "Without any, the node founds a cluster",
    ),
    Documented(
        "GDD_MEM_JOIN",
        "`retry`",
        "`retry`, `required`",
        "whether a node that reaches no seed starts and keeps trying, or does not start",
    ),
    Documented(
        "GDD_MEM_NAME",
        "host name and 6 random digits",
        "text",
        "the name of the node, which nobody else in the cluster may have",
    ),
    Documented(
        "GDD_MEM_HOST",
        "private address",
        "text",
        "the address that other nodes are told; `GDD_MEM_BIND` if that is set to one address. With a dot in "
        "front, this machine's host name in that domain (`.orders.default.svc.cluster.local`)",
    ),
    Documented(
        "GDD_MEM_BIND",
        "all",
        "text",
        "the address to listen on",
    ),
    Documented(
        "GDD_MEM_PORT",
        "`7946`",
        "number",
        "the port of the gossip, for UDP and TCP alike; 0 for any free one. If it is unset and 7946 is taken, a "
        "service takes any other one, and a process that only looks always does",
    ),
    Documented(
        "GDD_MEM_DIALECT",
        "`doudou`",
        "`doudou`, `hashicorp`",
        "whether the cluster consists of go-doudou's nodes or of HashiCorp memberlist's; the two cannot share one",
    ),
    Documented(
        "GDD_MEM_LABEL",
        "–",
        "text",
        "the label of a `hashicorp` cluster, up to 255 bytes",
    ),
    Documented(
        "GDD_MEM_SECRET_KEY",
        "–",
        "list",
        "base64 keys of 16, 24 or 32 bytes: the first one encrypts, all decrypt. go-doudou's own nodes cannot "
        "encrypt. May change while the node runs",
        secret=True,
    ),
    Documented(
        "GDD_MEM_VERIFY_INCOMING",
        "`true`",
        "flag",
        "with a key: refuse what is not encrypted. Switch it off only while a cluster changes over to encryption",
    ),
    Documented(
        "GDD_MEM_VERIFY_OUTGOING",
        "`true`",
        "flag",
        "with a key: encrypt what is sent. Likewise",
    ),
    Documented(
        "GDD_MEM_CIDRS_ALLOWED",
        "–",
        "list",
        "networks such as `10.0.0.0/8` whose addresses members may have; unset for all",
    ),
    Documented(
        "GDD_MEM_COMPRESSION",
        "`false`",
        "flag",
        "compress what is sent. What arrives compressed is always read",
    ),
    Documented(
        "GDD_MEM_TCP_TIMEOUT",
        "`30s`",
        "duration, s",
        "for one exchange over TCP, such as joining",
    ),
    Documented(
        "GDD_MEM_WEIGHT_INTERVAL",
        "`0`",
        "duration, ms",
        "how often a node whose `GDD_WEIGHT` is 0 or less announces its dynamic weight; 0 never",
    ),
    Documented(
        "GDD_MEM_LOG_DISABLE",
        "`false`",
        "flag",
        "log nothing of the gossip",
    ),
)


DYNAMIC = (
    Documented(
        "GDD_MEM_PROBE_INTERVAL",
        "`5s`",
        "duration, s",
        "how often the node checks on another one",
    ),
    Documented(
        "GDD_MEM_PROBE_TIMEOUT",
        "`3s`",
        "duration, s",
        "how long it waits for the answer before it asks others to check too; less than the interval",
    ),
    Documented(
        "GDD_MEM_INDIRECT_CHECKS",
        "`3`",
        "number",
        "how many others it asks",
    ),
    Documented(
        "GDD_MEM_SUSPICION_MULT",
        "`6`",
        "number",
        "how many probe intervals a suspect has at least to defend itself; it grows with the logarithm of the "
        "cluster's size",
    ),
    Documented(
        "GDD_MEM_GOSSIP_INTERVAL",
        "`500ms`",
        "duration, ms",
        "how often news are passed on",
    ),
    Documented(
        "GDD_MEM_GOSSIP_NODES",
        "`4`",
        "number",
        "to how many nodes each time",
    ),
    Documented(
        "GDD_MEM_RETRANSMIT_MULT",
        "`4`",
        "number",
        "how often each piece of news is passed on; it grows with the logarithm of the cluster's size",
    ),
    Documented(
        "GDD_MEM_SYNC_INTERVAL",
        "`60s`",
        "duration, s",
        "how often the node exchanges everything with another one; 0 never",
    ),
    Documented(
        "GDD_MEM_DEAD_TIMEOUT",
        "`60s`",
        "duration, s",
        "how long dead nodes are still told the news, before they are taken off the list",
    ),
    Documented(
        "GDD_MEM_RECLAIM_TIMEOUT",
        "`3s`",
        "duration, s",
        "after which time the name of a dead node may be used at another address; 0 never",
    ),
)
"""Those that may also change while the node runs."""
