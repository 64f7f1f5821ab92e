"""What a registrar sees of its registry, and tells its workers."""

from __future__ import annotations

from typing import Any

import anyio
from support.scripted import ScriptedDriver, ScriptedPlugin, settings

from pydoudou import Member, Registry
from pydoudou.contrib.servers.registrar.view import View
from pydoudou.drivers.contract import ProbingDriver


class Doubting(ScriptedDriver, ProbingDriver):
    """Doubts itself when the test says so."""

    why = ""

    def probe(self, member: Member) -> None:
        """It does not look."""

    def round_trip(self, member: Member) -> float | None:
        return None

    def doubt(self) -> str:
        return self.why


class DoubtingPlugin(ScriptedPlugin):
    def create(self, settings: Any) -> Doubting:
        self.drivers.append(doubting := Doubting(self))
        return doubting


def test_a_registrar_that_doubts_itself_is_not_settled_until_its_workers_know_that_it_does_no_more() -> None:
    plugin, told = DoubtingPlugin(), list[dict[str, Any]]()
    with Registry(settings(plugin)) as registry:
        view = View(registry, "", told.append, lambda look: None)

        def settled() -> bool:
            anyio.run(view.look)
            return view.settled

        assert settled()
        driver = plugin.driver
        assert isinstance(driver, Doubting)
        driver.why = "the health score of the gossip is 2"
        assert not settled()
        assert told[-1]["doubt"] == driver.why
        driver.why = ""
        assert settled()
        assert told[-1]["doubt"] == ""
