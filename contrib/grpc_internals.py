"""What grpc does not say in any other way than by its words: only here, and held by tests against a real server.

The status UNAVAILABLE means that no connection could be made, that one broke, or that the server says so. Nothing but
the details of the status tell which; where they are unknown words, the server is taken to have said them, and the call
moves only if it may be repeated, which is right for a connection that broke as well.
"""

from __future__ import annotations

__all__ = ["broke", "never_connected"]

_NEVER_CONNECTED = ("failed to connect to all addresses", "DNS resolution failed", "Connection refused")
_BROKE = ("Socket closed", "Stream removed", "Connection reset", "Broken pipe", "recvmsg", "sendmsg", "GOAWAY", "ping")


def never_connected(details: str) -> bool:
    """Whether an UNAVAILABLE with these details means that nothing was sent."""
    return any(words in details for words in _NEVER_CONNECTED)


def broke(details: str) -> bool:
    """Whether an UNAVAILABLE with these details means that the connection broke."""
    return any(words in details for words in _BROKE)
