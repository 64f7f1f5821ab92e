"""What a node counts is declared, and what is declared is counted."""

from __future__ import annotations

import re
from pathlib import Path

from support.cluster import Lone

from pydoudou.drivers.memberlist import protocol
from pydoudou.drivers.memberlist.protocol.counters import COUNTERS, GAUGES

_COUNTING = re.compile(r'(?:counters\[|problem\(\s*|report\(\s*)"([^"]+)"')


def test_every_name_that_is_counted_is_declared_and_every_declared_one_is_counted() -> None:
    folder = Path(protocol.__file__).parent
    sources = [*folder.glob("*.py"), folder.parent / "connections.py", folder.parent / "node.py"]
    counted = {name for source in sources for name in _COUNTING.findall(source.read_text("utf-8"))}
    assert counted == {row.name for row in COUNTERS}


def test_names_are_fit_for_dashboards() -> None:
    names = [row.name for row in (*COUNTERS, *GAUGES)]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch("[a-z]+(_[a-z]+)*", name) for name in names)


def test_a_node_tells_all_of_its_numbers_from_the_start() -> None:
    swim = Lone().swim
    assert list(swim.counters) == [row.name for row in COUNTERS]
    assert list(swim.gauges) == [row.name for row in GAUGES]
    assert not any(swim.counters.values())
