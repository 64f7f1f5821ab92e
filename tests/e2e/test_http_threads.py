"""Threads that share a client while its members come and go: no error but those of the library."""

from __future__ import annotations

import itertools
from collections.abc import Collection

import pytest
from support.hammer import hammer
from support.http_callers import CALLERS, Caller
from support.http_members import refusing

from pydoudou import Member

PRESENT = 50


class Churning:
    """A balancer with a new member for every pick; all of them refuse."""

    def __init__(self, port: int) -> None:
        self._turns = itertools.count()
        self._port = port
        self._now = 0

    def pick(self, exclude: Collection[Member] = ()) -> Member:
        self._now = next(self._turns)
        return self._member(self._now)

    def members(self) -> list[Member]:
        return [self._member(turn) for turn in range(max(0, self._now - PRESENT), self._now + 1)]

    def _member(self, turn: int) -> Member:
        return Member("orders", f"127.1.{turn // 250 % 250}.{1 + turn % 250}", self._port)


@pytest.mark.parametrize("caller_class", CALLERS, ids=lambda one: one.__doc__)
def test_members_that_change_with_every_call_disturb_no_other_thread(caller_class: type[Caller]) -> None:
    with refusing() as nobody, caller_class(Churning(nobody.port), attempts=2) as caller:

        def call() -> None:
            with pytest.raises(caller.connection_error):
                caller.call(timeout=10)

        hammer([call] * 4, rounds=40)
