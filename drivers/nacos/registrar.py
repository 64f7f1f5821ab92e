"""What this process wants to have in Nacos, and whether the server has it.

The SDK believes what it once registered; the server may know better: it evicts a client that did not answer for 20 s,
and forgets everything when it restarts. So the server is asked, and what it does not list is registered again. If it
is not listed even then, an operator has switched the instance off: registering does not undo that, but makes the server
tell every subscriber, so it is tried rarely from then on.

Every registration has a fate of its own: what the server refuses or fails to do for one does not keep the other one
from being registered.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any

import anyio
import attrs

from ..kit.backoff import Backoff
from ..kit.log_fields import fields
from .errors import NacosError, NacosRefused, NacosUnavailable
from .instances import Registration

if TYPE_CHECKING:
    from .session import Session

__all__ = ["Ask", "Registrar"]

logger = logging.getLogger(__name__)

HIDDEN_AGAIN_AFTER = 30.0
REFUSED_AGAIN = Backoff(first=2.0, most=30.0)
"""A server that has just started refuses what it will take as soon as it has read who may do what."""

Ask = Callable[..., Awaitable[Any]]


@attrs.define
class _Fate:
    """How it is with one registration on the present connection.

    Attributes:
        registered: whether the server has taken it.
        problem: why others do not find it; "" if they do.
        again_at: not before this time it is registered again.
        hidden: whether the server did not list it although it was registered again.
        refusals: how often in a row the server did not want it.
    """

    registered: bool = False
    problem: str = ""
    again_at: float = 0.0
    hidden: bool = False
    refusals: int = 0


class Registrar:
    """Keeps registered what is wanted.

    Args:
        ask: calls a method of a session, with a deadline.

    Attributes:
        repairs: how often something was missing and registered again.
        failures: how often the server refused or failed to register, or to tell whether it has.
        problem: why others do not find all of it; "" if they do. May be read by any thread.
    """

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._wanted: tuple[Registration, ...] = ()
        self._fates: dict[Registration, _Fate] = {}
        self.repairs = self.failures = 0
        self.problem = ""

    @property
    def wanted(self) -> tuple[Registration, ...]:
        """What is to be registered; empty for a process that only looks, or that leaves."""
        return self._wanted

    @wanted.setter
    def wanted(self, registrations: tuple[Registration, ...]) -> None:
        self._wanted = registrations
        self._fates = {registration: _Fate() for registration in registrations}
        self.problem = ""

    async def register(self, session: Session, now: float) -> None:
        """Register everything, on a connection that is new, or because it has changed.

        Raises:
            NacosRefused: the server does not want one of them.
            NacosFailed: the server could not register one of them.
            NacosUnavailable: there was no answer about one of them. In every case the others were tried too, and
                `check` will try again.
        """
        self._fates = {registration: _Fate() for registration in self._wanted}
        errors = await self._each(self._register, session, now)
        if errors:
            raise min(errors, key=lambda error: not isinstance(error, NacosRefused))

    async def go_back(self, session: Session, before: tuple[Registration, ...], now: float) -> None:
        """The server refused what is wanted now: want what stands there, and undo what it has taken of the other."""
        self.wanted = before
        for error in await self._each(self._register, session, now):
            logger.warning(
                "Nacos does not take back the registration from before: %s",
                error,
                extra=fields(backend="nacos", reason=error),
            )
        # It stands there already unless it was replaced; the next check asks.
        self._fates = {registration: _Fate(registered=True) for registration in before}
        self.problem = ""

    async def check(self, session: Session, now: float) -> None:
        """Ask whether the server has it; what it does not list is registered again.

        Raises:
            NacosUnavailable: there was no answer to any question.
        """
        asked = len(self._wanted)  # what is wanted may change meanwhile: a process that drains wants nothing any more
        errors = await self._each(self._check, session, now)
        if errors and len(errors) == asked and all(isinstance(error, NacosUnavailable) for error in errors):
            raise errors[0]

    async def deregister(self, session: Session) -> None:
        """Take back everything, and want nothing any more.

        Raises:
            NacosError: it did not work for all of them.
        """
        wanted, self.wanted = self.wanted, ()
        errors: list[NacosError] = []
        for registration in wanted:
            try:
                await self._ask(session.deregister, registration)
            except NacosError as error:
                errors.append(error)
        if errors:
            raise errors[0]

    # -- one registration ----------------------------------------------------------------------------------------------

    async def _register(self, session: Session, registration: Registration, now: float) -> None:
        fate = self._fate(registration)
        fate.registered = False
        try:
            await self._ask(session.register, registration)
        except NacosError as error:
            fate.problem = f"{registration.service} is not registered: {error}"
            fate.refusals = fate.refusals + 1 if isinstance(error, NacosRefused) else 0
            fate.again_at = now + (REFUSED_AGAIN.delay(fate.refusals) if fate.refusals else 0.0)
            raise
        fate.registered, fate.problem, fate.refusals = True, "", 0
        if not self._wanted:  # taken back while the server was told
            await self._ask(session.deregister, registration)

    async def _check(self, session: Session, registration: Registration, now: float) -> None:
        fate = self._fate(registration)
        if not fate.registered:
            if now >= fate.again_at:
                await self._register(session, registration, now)
            return
        listed = await self._ask(session.query, registration.service)
        if registration not in self._fates:  # taken back, or replaced, while the server was asked
            return
        if any(each.is_for(registration) for each in listed.instances):
            fate.hidden, fate.problem, fate.again_at = False, "", 0.0
            return
        if now < fate.again_at:
            fate.problem = _hidden(registration)
            return
        logger.warning(
            "the Nacos server does not list %s any more: registering again",
            registration.service,
            extra=fields(service=str(registration.service), backend="nacos"),
        )
        self.repairs += 1
        problem = _hidden(registration) if fate.hidden else ""
        await self._register(session, registration, now)
        # The next check tells whether it helped; if it did not, the one after that comes late.
        fate.hidden, fate.problem, fate.again_at = True, problem, now + HIDDEN_AGAIN_AFTER

    def _fate(self, registration: Registration) -> _Fate:
        """Its own; one that nobody keeps for what is not wanted any more."""
        return self._fates.get(registration) or _Fate()

    async def _each(
        self, action: Callable[[Session, Registration, float], Awaitable[None]], session: Session, now: float
    ) -> list[NacosError]:
        """Do it for every registration, all at once; what went wrong."""
        errors: list[NacosError] = []

        async def one(registration: Registration) -> None:
            try:
                await action(session, registration, now)
            except NacosError as error:
                logger.debug("the Nacos server does not tell or register %s: %s", registration.service, error)
                self.failures += 1
                errors.append(error)

        async with anyio.create_task_group() as tasks:
            for registration in self._wanted:
                tasks.start_soon(one, registration)
        self._sum_up(self._fates.values())
        return errors

    def _sum_up(self, fates: Iterable[_Fate]) -> None:
        self.problem = "; ".join(fate.problem for fate in fates if fate.problem)


def _hidden(registration: Registration) -> str:
    return f"{registration.service} is registered, but the server does not list it: it may be disabled in the console"
