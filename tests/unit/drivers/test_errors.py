"""Errors that travel: to another process, or into a copy."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable

import pytest

from pydoudou import DiscoveryError, MetadataTooLarge
from pydoudou.drivers import errors

WAYS = [lambda error: pickle.loads(pickle.dumps(error)), copy.copy, copy.deepcopy]


def every_error() -> list[DiscoveryError]:
    found: list[DiscoveryError] = []
    for name in errors.__all__:
        kind = getattr(errors, name)
        found.append(kind("the text", size=600, limit=512) if kind is MetadataTooLarge else kind("the text"))
    return found


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("error", every_error(), ids=lambda error: type(error).__name__)
def test_an_error_is_the_same_after_its_way(
    error: DiscoveryError, way: Callable[[DiscoveryError], DiscoveryError]
) -> None:
    again = way(error)
    assert (type(again), str(again), again.args) == (type(error), str(error), error.args)
    assert vars(again) == vars(error)
