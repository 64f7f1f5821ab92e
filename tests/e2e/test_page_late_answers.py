"""The registry page where it has to ask again and again, and gets its answers late; in a real browser."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from support.browser import chromium
from support.page_server import serving_wsgi
from support.scripted import ScriptedPlugin, member, settings
from support.slow_answers import SlowAnswers
from support.waiting import eventually

from pydoudou import Registry
from pydoudou.contrib.page import RegistryPage

PAGE = "/go-doudou/registry"
PAUSE = 2_000
"""Milliseconds between an answer and the next question."""
SLOW = 20_000
"""Milliseconds in which a busy machine gets round to it."""


@pytest.fixture
def plugin() -> ScriptedPlugin:
    return ScriptedPlugin(members=[member("10.0.0.1", "orders", node="n1"), member("10.0.0.2", "orders", node="n2")])


@pytest.fixture
def url(plugin: ScriptedPlugin) -> Iterator[str]:
    with Registry(settings(plugin)) as registry, serving_wsgi(RegistryPage(registry).wsgi) as url:
        yield url + PAGE


@pytest.fixture
def page() -> Iterator[Any]:
    with chromium() as browser:
        yield browser.new_page()


@pytest.fixture
def late(page: Any, url: str) -> SlowAnswers:
    """What holds answers back, of a page that has had its first one."""
    answers = SlowAnswers(page)
    page.clock.install()
    page.goto(url)
    see(page, ["n1", "n2"])
    return answers


def see(page: Any, names: list[str]) -> None:
    """Wait until these rows are shown, in this order."""
    from playwright.sync_api import expect

    expect(page.locator("tbody td.node .strong")).to_have_text(names, timeout=SLOW)


def test_an_answer_that_takes_longer_than_the_pause_is_shown_and_nothing_is_asked_beside_it(
    page: Any, late: SlowAnswers, plugin: ScriptedPlugin, url: str
) -> None:
    late.hold("registry.json")
    plugin.report(member("10.0.0.3", "orders", node="n3"))
    page.clock.run_for(PAUSE)
    late.wait(1)
    eventually(lambda: len(httpx.get(url + ".json").json()["rows"]) == 3, 20)
    late.let_go()  # may be of the time before
    page.clock.run_for(PAUSE)
    late.wait(1)
    page.clock.run_for(5 * PAUSE)
    late.wait(1)
    late.let_go()
    see(page, ["n1", "n2", "n3"])


def test_a_question_that_fails_after_a_later_one_was_answered_is_not_told(page: Any, late: SlowAnswers) -> None:
    late.hold("registry.json")
    page.clock.run_for(PAUSE)
    late.wait(1)
    late.hold("")
    page.fill("#search", "n2")
    see(page, ["n2"])
    late.let_go(failed=True)
    assert page.inner_text("#live-text") == "live, every 2 s"
