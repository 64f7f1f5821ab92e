"""Tests wait for conditions with this; it must neither miss one nor wait for ever."""

from __future__ import annotations

import itertools
import time

import anyio
import pytest
from support.waiting import eventually, eventually_async


@pytest.mark.upstream("TestRetryer")
def test_waiting_ends_as_soon_as_the_condition_holds() -> None:
    tries = itertools.count(1)
    eventually(lambda: next(tries) == 3)
    assert next(tries) == 4
    anyio.run(eventually_async, lambda: next(tries) >= 7)
    assert next(tries) == 8


@pytest.mark.upstream("TestRetryer")
def test_waiting_fails_when_the_time_is_over() -> None:
    began = time.monotonic()
    with pytest.raises(AssertionError, match=r"not within 0\.05 s"):
        eventually(lambda: False, timeout=0.05)
    with pytest.raises(AssertionError, match=r"not within 0\.05 s"):
        anyio.run(eventually_async, lambda: False, 0.05)
    assert time.monotonic() - began >= 0.1
