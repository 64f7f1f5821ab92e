"""Names of members: looked up in the background, remembered, looked up again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from pydoudou.drivers.memberlist.resolver import (
    MAX_LOOKUPS,
    MAX_NAMES,
    MAX_NEW_LOOKUPS,
    MAX_UNRESOLVED,
    MAX_WAITING,
    REFRESH_AFTER,
    RETRY_AFTER,
    Resolver,
)


class Names:
    """A resolver on a clock of its own, whose name service answers when the test says so."""

    def __init__(self) -> None:
        self.now = 0.0
        self.answers: dict[str, list[str]] = {}
        self.lookups: list[str] = []
        self._pending: list[tuple[Callable[..., Any], Any]] = []
        self.resolver = Resolver(
            lambda look_up, entry: self._pending.append((look_up, entry)), lambda: self.now, self._resolve
        )

    async def _resolve(self, host: str) -> list[str]:
        self.lookups.append(host)
        if host not in self.answers:
            raise OSError("no such name")
        return self.answers[host]

    def ask(self, host: str, then: Callable[[], None] = lambda: None) -> tuple[str, ...]:
        return self.resolver.addresses(host, then)

    def answer(self) -> None:
        """Let the lookups under way end."""
        pending, self._pending = self._pending, []
        for look_up, entry in pending:
            asyncio.run(look_up(entry))

    @property
    def under_way(self) -> list[str]:
        """The names that are being looked up."""
        return [entry.host for _, entry in self._pending]


@pytest.fixture
def names() -> Names:
    return Names()


@pytest.mark.parametrize("literal", ["10.0.0.1", "fd00::1"])
def test_an_ip_address_is_its_own_answer(names: Names, literal: str) -> None:
    assert names.ask(literal) == (literal,)
    names.answer()
    assert names.lookups == []


def test_what_waits_for_a_name_goes_on_when_it_is_known(names: Names) -> None:
    names.answers["node"] = ["10.0.0.1"]
    sent: list[int] = []
    assert names.ask("node", lambda: sent.append(1)) == names.ask("node", lambda: sent.append(2)) == ()
    names.answer()
    assert sent == [1, 2]
    assert names.ask("node") == ("10.0.0.1",)
    assert names.lookups == ["node"]


def test_ipv4_comes_first_as_in_go(names: Names) -> None:
    """A Go node that advertises a name listens on IPv4 unless it is told otherwise."""
    names.answers["node"] = ["::1", "fd00::1", "127.0.0.1"]
    names.ask("node")
    names.answer()
    assert names.ask("node") == ("127.0.0.1", "::1", "fd00::1")


def test_an_old_answer_is_used_until_the_new_one_is_there(names: Names) -> None:
    names.answers["node"] = ["10.0.0.1"]
    names.ask("node")
    names.answer()
    names.answers["node"] = ["10.0.0.2"]
    names.now += REFRESH_AFTER + 1
    assert names.ask("node") == ("10.0.0.1",)
    names.answer()
    assert names.ask("node") == ("10.0.0.2",)


def test_a_name_that_stops_resolving_keeps_its_last_addresses(names: Names) -> None:
    names.answers["node"] = ["10.0.0.1"]
    names.ask("node")
    names.answer()
    names.answers.clear()
    names.now += REFRESH_AFTER + 1
    names.ask("node")
    names.answer()
    assert names.ask("node") == ("10.0.0.1",)


def test_a_name_that_does_not_resolve_is_asked_for_again_after_a_while(names: Names) -> None:
    sent: list[int] = []
    names.ask("node", lambda: sent.append(1))
    names.answer()
    names.ask("node")
    names.answer()
    assert (names.lookups, sent) == (["node"], [])
    names.now += RETRY_AFTER + 1
    names.answers["node"] = ["10.0.0.1"]
    names.ask("node", lambda: sent.append(2))
    names.answer()
    assert (names.lookups, sent) == (["node", "node"], [2])


def test_only_so_much_waits_for_a_name(names: Names) -> None:
    sent: list[int] = []
    for number in range(MAX_WAITING + 10):
        names.ask("node", lambda number=number: sent.append(number))  # type: ignore[misc]
    names.answers["node"] = ["10.0.0.1"]
    names.answer()
    assert sent == list(range(MAX_WAITING))


@pytest.mark.parametrize("host", ["10.0.{}.{}", "node-{}-{}"], ids=["addresses", "names"])
def test_only_so_many_are_remembered(names: Names, host: str) -> None:
    """Whoever pings us may name another address to answer to each time."""
    for number in range(MAX_NAMES + 10):
        names.ask(host.format(number >> 8, number & 255))
    assert len(names.resolver) <= MAX_UNRESOLVED + MAX_NEW_LOOKUPS


def flood(names: Names) -> None:
    """Far more new names than are remembered."""
    for number in range(10 * MAX_UNRESOLVED):
        names.ask(f"n{number}.invalid")


def test_only_so_many_look_ups_are_under_way(names: Names) -> None:
    flood(names)
    assert len(names.under_way) == MAX_NEW_LOOKUPS


def test_new_names_do_not_stand_in_the_way_of_known_ones(names: Names) -> None:
    names.answers["member"] = ["10.0.0.1"]
    names.ask("member")
    names.answer()
    flood(names)
    assert names.ask("member") == ("10.0.0.1",)
    names.now += REFRESH_AFTER + 1
    names.answers["member"] = ["10.0.0.2"]
    names.ask("member")
    assert names.under_way[-1] == "member"
    assert len(names.under_way) <= MAX_LOOKUPS
    names.answer()
    assert names.ask("member") == ("10.0.0.2",)


def test_the_latest_new_name_is_looked_up_next(names: Names) -> None:
    flood(names)
    names.answers["newcomer"] = ["10.0.0.1"]
    names.ask("newcomer")
    names.answer()
    names.answer()
    assert names.ask("newcomer") == ("10.0.0.1",)


def test_whoever_waits_for_a_name_that_gives_way_hears_that_it_is_unknown(names: Names) -> None:
    async def waits() -> str:
        async with anyio.create_task_group() as tasks:
            for number in range(MAX_NEW_LOOKUPS):
                names.ask(f"slow{number}.invalid")
            failed = []

            async def resolve() -> None:
                try:
                    await names.resolver.resolve("early")
                except OSError as error:
                    failed.append(str(error))

            tasks.start_soon(resolve)
            await anyio.wait_all_tasks_blocked()
            flood(names)
        return failed[0]

    assert "early" in asyncio.run(waits())
