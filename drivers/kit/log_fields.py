"""What a log line is about, as fields of its record, for those who search logs and do not read them.

Their names begin with ``pydoudou_``: `logging` refuses a field that a program's own records have already.
"""

from __future__ import annotations

from .validation import escaped

__all__ = ["FIELDS", "fields"]

FIELDS = {
    "service": "the service that is registered, looked for or called",
    "member": "`host:port` of a member",
    "node": "the name of a gossip node",
    "backend": "the mode: `memberlist`, `nacos`, …",
    "source": "who said it: the address of a node or a server, or the backends that report a member",
    "event": "what happened to a member, in a word",
    "reason": "the error, or what led to it",
}
"""Every field without what its name begins with, and what it holds."""


def fields(
    *,
    service: str = "",
    member: str = "",
    node: str = "",
    backend: str = "",
    source: str = "",
    event: str = "",
    reason: object = "",
) -> dict[str, str]:
    """``extra=`` for a log line. What is empty is left out, and what others wrote is escaped."""
    known = {
        "service": service,
        "member": member,
        "node": node,
        "backend": backend,
        "source": source,
        "event": event,
        "reason": str(reason),
    }
    return {f"pydoudou_{name}": escaped(text) for name, text in known.items() if text}
