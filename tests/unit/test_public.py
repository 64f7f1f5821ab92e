"""What `import pydoudou` gives."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from support.scripted import ScriptedPlugin, settings

import pydoudou
from pydoudou import Registry

ROOT = Path(__file__).parents[2]


def test_the_version_is_that_of_the_distribution() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert pydoudou.__version__ == project["version"]


@pytest.mark.parametrize("name", pydoudou.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(pydoudou, name)


def test_a_registry_a_subscription_and_a_watch_show_what_they_are_for() -> None:
    registry = Registry(settings(ScriptedPlugin(), register=True, service_name="orders", register_host="10.0.0.7"))
    assert repr(registry) == "<Registry of 'orders', modes scripted: stopped>"
    with registry, registry.subscribe("users") as subscription, registry.watch("users") as watch:
        assert repr(registry) == "<Registry of 'orders', modes scripted: running>"
        assert subscription.wait(5)
        assert repr(subscription) == "<Subscription of 'users': answered>"
        assert repr(watch) == "<Watch of 'users'>"
        registry.stop()
        assert repr(watch) == "<Watch of 'users', ended>"
    assert repr(subscription) == "<Subscription of 'users': closed>"
    assert repr(Registry(settings(ScriptedPlugin()))) == "<Registry that only looks, modes scripted: stopped>"
