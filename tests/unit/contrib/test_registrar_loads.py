"""What several workers can take, as one."""

from __future__ import annotations

import pytest

from pydoudou.contrib.servers.registrar.loads import WorkersLoad


def test_nothing_is_made_of_workers_that_do_not_tell() -> None:
    load = WorkersLoad()
    assert load.headroom() == 1.0
    load.told(1, None)
    assert load.headroom() == 1.0
    load.told(2, 0.5)
    assert load.headroom() == 0.5


def test_the_places_of_all_workers_count_together() -> None:
    load = WorkersLoad()
    for worker, free in ((1, 0.0), (2, 0.5), (3, 1.0), (4, 1.0)):
        load.told(worker, free)
    assert load.headroom() == pytest.approx(0.625)
    load.gone(1)
    assert load.headroom() == pytest.approx(2.5 / 3)
    load.told(2, None)
    assert load.headroom() == 1.0


def test_whoever_wants_to_know_has_the_workers_asked() -> None:
    asked: list[int] = []
    load = WorkersLoad()
    load.begin(lambda: asked.append(1))
    load.told(1, 0.25)
    assert (load.headroom(), asked) == (0.25, [1])


@pytest.mark.parametrize(("told", "counts"), [(-1.0, 0.0), (7.0, 1.0)])
def test_a_share_is_between_nothing_and_all(told: float, counts: float) -> None:
    load = WorkersLoad()
    load.told(1, told)
    assert load.headroom() == counts
