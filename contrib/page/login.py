"""Who may look: HTTP basic authentication, or without a password only whoever sits at this machine.

Without a password the connection has to come from loopback, under a name that no foreign page can have its own server
answer to (so ``Host`` is looked at), and not through a proxy, behind which everybody comes from loopback.

A wrong password slows its source down, and nobody else: the right one is never looked at later because of others, not
even of others at the same address.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import ipaddress
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from functools import partial

from ...drivers.kit.log_fields import fields
from ...drivers.kit.log_limit import RateLimitedLog
from .messages import Answer, Request, text_answer

__all__ = ["TUTORIAL", "Login"]

logger = logging.getLogger(__name__)

TUTORIAL = ("admin", "admin")
"""What go-doudou takes when nothing is set, and its tutorial shows."""

_LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})
_OF_PROXIES = frozenset({"forwarded", "via", "x-real-ip", "x-client-ip", "true-client-ip", "cf-connecting-ip"})
_MOST_SOURCES = 1000
_FIRST_DELAY = 0.25
_LONGEST_DELAY = 8.0
_FORGET_AFTER = 300.0
_CHALLENGE = 'Basic realm="Provide user name and password", charset="UTF-8"'


class Login:
    """Decides of each request. For any thread.

    Args:
        now: seconds, monotonic.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._failures: OrderedDict[str, tuple[int, float]] = OrderedDict()
        self._lock = threading.Lock()
        self._warned = False
        self._log = RateLimitedLog(logger, now)

    def refusal(self, request: Request, user: str, password: str) -> Answer | None:
        """What to answer instead; None for who may look.

        Args:
            user: the name that is accepted; with `password` "" where none is set.
        """
        if not user and not password:
            reason = _not_local(request)
            if not reason:
                return None
            advice = "set GDD_MANAGE_USER and GDD_MANAGE_PASS to look from elsewhere"
            return text_answer(403, f"Without a password this page is for this machine only, and {reason}: {advice}.")
        if not user or not password:
            return text_answer(403, "One of GDD_MANAGE_USER and GDD_MANAGE_PASS is not set: set both, or neither.")
        if (user, password) == TUTORIAL and not self._warned:
            self._warned = True
            logger.warning(
                "the registry page is open to whoever has read go-doudou's tutorial: set GDD_MANAGE_PASS",
                extra=fields(reason="GDD_MANAGE_USER and GDD_MANAGE_PASS are those of the tutorial"),
            )
        given = request.headers.get("authorization", "")
        if not given:
            return text_answer(401, "Unauthorised.", www_authenticate=_CHALLENGE)
        if _is_right(given, user, password):
            return None
        delay = self._failed(_source(request.client))
        return text_answer(401, "Unauthorised.", held_back=delay, www_authenticate=_CHALLENGE)

    def _failed(self, source: str) -> float:
        """One more failure: the seconds to hold the answer back."""
        now = self._now()
        with self._lock:
            count, at = self._failures.pop(source, (0, now))
            count = 1 if now - at > _FORGET_AFTER else count + 1
            self._failures[source] = (count, now)
            while len(self._failures) > _MOST_SOURCES:
                self._failures.popitem(last=False)
            self._log.warning(
                "wrong-password",
                "the registry page was asked with a wrong name or password from %s",
                source,
                source=source,
                extra=partial(fields, source=source),
            )
        return min(_FIRST_DELAY * 2.0 ** min(count - 1, 16), _LONGEST_DELAY)

    @property
    def remembered(self) -> int:
        """How many sources of wrong passwords are remembered."""
        return len(self._failures)


def _is_right(given: str, user: str, password: str) -> bool:
    scheme, _, encoded = given.partition(" ")
    if scheme.lower() != "basic" or len(encoded) > 4096:
        return False
    try:
        pair = base64.b64decode(encoded.strip(), validate=True)
    except ValueError:
        return False
    # Digests, so that not even the lengths take different times.
    wanted = hashlib.sha256(f"{user}:{password}".encode(errors="surrogatepass")).digest()
    return hmac.compare_digest(hashlib.sha256(pair).digest(), wanted)


def _not_local(request: Request) -> str:
    """Why the request does not come from this machine's own user; "" if it does."""
    if not _is_loopback(request.client):
        return "you are not on it"
    if proxy := _named_by_a_proxy(request.headers):
        return f"this came through a proxy (it has the header {proxy})"
    host = request.headers.get("host", "")
    name = host.rsplit(":", 1)[0] if not host.endswith("]") else host
    if name.lower() not in _LOCAL_NAMES:
        return "it is asked for under another name than localhost, 127.0.0.1 or [::1]"
    return ""


def _named_by_a_proxy(headers: Mapping[str, str]) -> str:
    return next((name for name in headers if name in _OF_PROXIES or name.startswith("x-forwarded")), "")


def _is_loopback(client: str) -> bool:
    try:
        address = ipaddress.ip_address(client)
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped.is_loopback
    return address.is_loopback


def _source(client: str) -> str:
    """What counts as one source: an address, of IPv6 the network that one subscriber has."""
    try:
        address = ipaddress.ip_address(client)
    except ValueError:
        return client[:64]
    if address.version == 6:
        return str(ipaddress.ip_network((int(address) >> 64 << 64, 64)))
    return str(address)
