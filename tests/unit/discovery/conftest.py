"""A registry whose driver does what the test says.

Asynchronous tests run under asyncio and under trio; without trio installed those are skipped.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator

import pytest
from support.scripted import ScriptedPlugin, settings

from pydoudou import Registry

_no_trio = pytest.mark.skipif(importlib.util.find_spec("trio") is None, reason="trio is not installed")


@pytest.fixture(params=["asyncio", pytest.param("trio", marks=_no_trio)])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def plugin() -> ScriptedPlugin:
    return ScriptedPlugin()


@pytest.fixture
def registry(plugin: ScriptedPlugin) -> Iterator[Registry]:
    with Registry(settings(plugin)) as registry:
        yield registry
