"""httpx or httpx2: what the transport, which is written once, needs of the library that it is bound to.

httpx2 continues httpx with the same names; the classes of the two have nothing to do with each other, and a program may
have both. So nothing here imports either: `contrib.httpx` and `contrib.httpx2` hand in their module.
"""

from __future__ import annotations

import logging
from types import ModuleType
from typing import Any

from ..balancers.calls.service import ClientErrors
from ..balancers.calls.urls import UnusableAddress
from ..drivers.members import Reached
from .httpx_bodies import AsyncBody, SyncBody
from .httpx_internals import Internals, refused

__all__ = ["Library"]


class Library:
    """One of the two libraries.

    Args:
        module: it.
        no_member, circuit_open: what is raised, of its `ConnectError`, when there is nobody to call or the circuit
            breaker is open.
        log: where moves are told.

    Attributes:
        name: as one imports it.
        internals: what is used of it that is not public.
        errors: what calls need to know of its exceptions.
        sync_body, async_body: the bodies of answers, as streams of the library.
        repeatable: the streams of bodies that can be sent a second time.
        unusable: the exceptions by which an address cannot be made a URL.
    """

    def __init__(
        self, module: ModuleType, no_member: type[Exception], circuit_open: type[Exception], log: logging.Logger
    ) -> None:
        self.module, self.log, self.name = module, log, module.__name__
        self.internals = Internals(module)
        self.errors = ClientErrors(no_member, module.ReadTimeout, self._reached, circuit_open)
        self.sync_body: type[Any] = type("SyncBody", (SyncBody, module.SyncByteStream), {})
        self.async_body: type[Any] = type("AsyncBody", (AsyncBody, module.AsyncByteStream), {})
        self.repeatable: type[Any] = module.ByteStream
        self.unusable: tuple[type[Exception], ...] = (UnusableAddress, module.InvalidURL)
        self._unconnected = (module.ConnectError, module.ConnectTimeout, module.PoolTimeout, module.UnsupportedProtocol)
        self._broken = (module.NetworkError, module.RemoteProtocolError)
        self._timed_out: type[Exception] = module.TimeoutException

    def _reached(self, error: BaseException) -> Reached | None:
        """How far the attempt got, None if the member has nothing to do with what failed."""
        if isinstance(error, self._unconnected):
            return Reached.UNCONNECTED
        if isinstance(error, self._broken):
            return Reached.REFUSED if refused(error) else Reached.BROKEN
        return Reached.TIMED_OUT if isinstance(error, self._timed_out) else None
