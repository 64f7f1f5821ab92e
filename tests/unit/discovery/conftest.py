"""Asynchronous tests run under asyncio and under trio; without trio installed those are skipped."""

from __future__ import annotations

import importlib.util

import pytest

_no_trio = pytest.mark.skipif(importlib.util.find_spec("trio") is None, reason="trio is not installed")


@pytest.fixture(params=["asyncio", pytest.param("trio", marks=_no_trio)])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)
