"""What `import pydoudou` gives."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
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


def test_each_public_name_comes_from_where_a_type_checker_is_told_that_it_does() -> None:
    told: dict[str, set[str]] = {}
    for node in ast.walk(ast.parse((ROOT / "__init__.py").read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            told["." + (node.module or "")] = {alias.name for alias in node.names}
    given = {name for names in told.values() for name in names}
    assert given == set(pydoudou.__all__) - {"__version__"}
    for place, names in told.items():
        module = importlib.import_module(place, "pydoudou")
        assert all(getattr(pydoudou, name) is getattr(module, name) for name in names)


def test_importing_the_package_alone_imports_none_of_its_rooms_and_each_is_there_when_asked_for() -> None:
    script = (
        "import sys, pydoudou; assert not [name for name in sys.modules if name.startswith('pydoudou.')], sys.modules;"
        "print(pydoudou.discovery.current(), pydoudou.RoundRobin.__name__, 'Registry' in dir(pydoudou))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=30)
    assert done.stdout.split() == ["None", "RoundRobin", "True"]


def test_a_name_that_does_not_exist_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        pydoudou.Nothing  # noqa: B018
