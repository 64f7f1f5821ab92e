"""The registry of the process."""

from __future__ import annotations

from collections.abc import Iterator

import attrs
import pytest
from support.scripted import ScriptedPlugin, settings

import pydoudou
from pydoudou.discovery import current


@pytest.fixture(autouse=True)
def _stopped_afterwards() -> Iterator[None]:
    yield
    pydoudou.shutdown()


@pytest.fixture
def plugin() -> ScriptedPlugin:
    return ScriptedPlugin()


def test_a_new_node_is_the_current_one_until_the_shutdown(plugin: ScriptedPlugin) -> None:
    node = pydoudou.new_node(settings=settings(plugin))
    assert current() is node
    pydoudou.shutdown()
    assert current() is None
    assert plugin.driver.log == ["run", "leave", "end"]


def test_a_second_node_is_an_error_that_says_what_to_do(plugin: ScriptedPlugin) -> None:
    pydoudou.new_node(settings=settings(plugin))
    with pytest.raises(pydoudou.RegistryStateError, match=r"shutdown\(\)"):
        pydoudou.new_node(settings=settings(plugin))


def test_a_node_can_follow_a_node(plugin: ScriptedPlugin) -> None:
    pydoudou.new_node(settings=settings(plugin))
    pydoudou.shutdown()
    assert pydoudou.new_node(settings=settings(plugin)).running


def test_shutting_down_twice_or_without_a_node_does_nothing(plugin: ScriptedPlugin) -> None:
    pydoudou.shutdown()
    pydoudou.new_node(settings=settings(plugin))
    pydoudou.shutdown()
    pydoudou.shutdown()
    assert plugin.driver.log.count("leave") == 1


def test_the_end_of_a_with_block_makes_room_for_another_node(plugin: ScriptedPlugin) -> None:
    with pydoudou.new_node(settings=settings(plugin)):
        pass
    assert current() is None
    assert pydoudou.new_node(settings=settings(plugin)).running


def test_a_node_that_could_not_start_is_not_the_current_one(plugin: ScriptedPlugin) -> None:
    plugin.start_error = pydoudou.JoinError("nobody answers")
    with pytest.raises(pydoudou.JoinError):
        pydoudou.new_node(settings=settings(plugin))
    assert current() is None


def test_register_false_wins_over_settings_that_would_register(plugin: ScriptedPlugin) -> None:
    registering = attrs.evolve(settings(plugin), register=True, service_name="orders", register_host="10.0.0.7")
    pydoudou.new_node(settings=registering, register=False)
    assert plugin.driver.instance is None


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GDD_PORT", "abc")
    with pytest.raises(pydoudou.SettingsError, match="GDD_PORT"):
        pydoudou.new_node()
