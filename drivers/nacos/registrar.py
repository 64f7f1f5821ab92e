"""What this process wants to have in Nacos, and whether the server has it.

The SDK believes what it once registered; the server may know better: it evicts a client that did not answer for 20 s,
and forgets everything when it restarts. So the server is asked, and what it does not list is registered again. If it
is not listed even then, an operator has switched the instance off: registering does not undo that, but makes the server
tell every subscriber, so it is tried rarely from then on.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from .errors import NacosRefused, NacosUnavailable
from .instances import Registration

if TYPE_CHECKING:
    from .session import Session

__all__ = ["Registrar"]

logger = logging.getLogger(__name__)

HIDDEN_AGAIN_AFTER = 30.0
REFUSED_AGAIN_AFTER = 30.0

Ask = Callable[..., Awaitable[Any]]


class Registrar:
    """Keeps registered what is wanted.

    Args:
        ask: calls a method of a session, with a deadline.

    Attributes:
        wanted: what is to be registered; empty for a process that only looks, or that leaves.
        problem: why others do not find it; "" if they do.
        repairs: how often something was missing and registered again.
    """

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self.wanted: tuple[Registration, ...] = ()
        self.problem = ""
        self.repairs = 0
        self._registered = False
        self._refused_until = 0.0
        self._hidden_until: dict[Registration, float] = {}

    async def register(self, session: Session, now: float) -> None:
        """Register everything, on a connection that is new, or because it has changed.

        Raises:
            NacosUnavailable: no answer; `check` will try again.
            NacosRefused: the server does not want it; `check` will try again after a while.
        """
        self._registered = False
        self._refused_until = now
        self._hidden_until.clear()
        try:
            for registration in self.wanted:
                await self._ask(session.register, registration)
        except (NacosRefused, NacosUnavailable) as error:
            self.problem = f"not registered: {error}"
            if isinstance(error, NacosRefused):
                self._refused_until = now + REFUSED_AGAIN_AFTER
            raise
        self.problem = ""
        self._registered = True

    async def check(self, session: Session, now: float) -> None:
        """Ask whether the server has it; what it does not list is registered again.

        Raises:
            NacosUnavailable: no answer.
        """
        try:
            if not self._registered:
                if now >= self._refused_until:
                    await self.register(session, now)
                return
            problems = [await self._checked(session, registration, now) for registration in self.wanted]
        except NacosRefused as error:
            logger.debug("the Nacos server refuses to tell or to register: %s", error)
            return
        self.problem = "; ".join(filter(None, problems))

    async def _checked(self, session: Session, registration: Registration, now: float) -> str:
        """What is wrong with one registration, "" if nothing is."""
        listed = await self._ask(session.query, registration.service)
        if any(each.is_for(registration) for each in listed):
            self._hidden_until.pop(registration, None)
            return ""
        tried = registration in self._hidden_until
        if now < self._hidden_until.get(registration, now):
            return _hidden(registration)
        logger.warning("the Nacos server does not list %s any more: registering again", registration.service)
        self.repairs += 1
        # The next check tells whether it helped; if it did not, the one after that comes late.
        self._hidden_until[registration] = now + HIDDEN_AGAIN_AFTER
        await self._ask(session.register, registration)
        return _hidden(registration) if tried else ""

    async def deregister(self, session: Session) -> None:
        """Take back everything, and want nothing any more.

        Raises:
            NacosUnavailable: no answer.
            NacosRefused: the server does not want it.
        """
        wanted, self.wanted = self.wanted, ()
        for registration in wanted:
            await self._ask(session.deregister, registration)


def _hidden(registration: Registration) -> str:
    return f"{registration.service} is registered, but the server does not list it: it may be disabled in the console"
