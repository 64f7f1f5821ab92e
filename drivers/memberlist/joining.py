"""One attempt to join: all seeds are looked up and dialled at once, and the first one that brings us among others is
enough.

A seed that accepts connections and says nothing takes as long as the TCP timeout, and a name about which the name
service is silent as long as its patience; they are waited for only as long as nobody else has answered. An answer alone
is no join either: a seed that is this node itself under another address answers, and so does a cluster of the other
dialect, of whose members not one can be taken in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import anyio

from ..errors import JoinError
from ..kit.validation import escaped
from .protocol.addresses import Address
from .protocol.stream_exchange import StreamExchange

__all__ = ["JoinAttempt"]

_GRACE = 0.5
"""Seconds that the other seeds get after the first answer, so that a sound list is counted whole."""


class JoinAttempt:
    """The look-ups and exchanges of one attempt.

    Args:
        open_look_ups: how many were begun.
        among_others: whether we know any other node by now.

    Attributes:
        answered: how many seeds have answered.
    """

    def __init__(self, open_look_ups: int, among_others: Callable[[], bool]) -> None:
        self._open = open_look_ups
        self._failures: list[str] = []
        self._among_others = among_others
        self._dialled: set[Address] = set()
        self._enough = anyio.Event()
        self._all = anyio.Event()
        self.answered = 0
        if not open_look_ups:
            self._over()

    def looked_up(self, targets: Iterable[Address], failure: str = "") -> list[Address]:
        """One look-up is over: which of `targets` to dial, each for the first time. `failure` tells why there are none,
        or none but those of an earlier look-up.
        """
        new = [target for target in targets if target not in self._dialled]
        self._dialled.update(new)
        self._open += len(new)
        if failure:
            self._failures.append(failure)
        self._one_less()
        return new

    def ended(self, exchange: StreamExchange) -> None:
        """One exchange is over."""
        if exchange.failure:
            self._failures.append(f"{exchange.peer}: {escaped(exchange.failure)}")
        else:
            self.answered += 1
            if self._among_others():
                self._enough.set()
        self._one_less()

    def _one_less(self) -> None:
        self._open -= 1
        if not self._open:
            self._over()

    def _over(self) -> None:
        self._enough.set()
        self._all.set()

    async def wait(self) -> None:
        """Until it is clear how the attempt ended.

        Raises:
            JoinError: there was somebody to ask, and we are still alone.
        """
        await self._enough.wait()
        with anyio.move_on_after(_GRACE):
            await self._all.wait()
        if self._failures and not self.answered:
            raise JoinError("no seed answered: " + "; ".join(self._failures))
        if self.answered and not self._among_others():
            raise JoinError(
                "a seed answered, but no other node came of it: either it is this node itself under another address, "
                "or its cluster speaks another GDD_MEM_DIALECT"
            )
