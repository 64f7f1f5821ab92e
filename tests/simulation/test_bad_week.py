"""Random weeks of small clusters, after which everybody must see exactly those who live.

    PYDOUDOU_EFFORT=10 python -m pytest tests/simulation/test_bad_week.py    # two thousand of them
    python tests/simulation/test_bad_week.py 17                              # the one from seed 17, step by step

Processes crash, leave and are started again, under their names, under new ones, and under those of others who are gone;
seed names move to other places, to places where nobody is, and out of the name service; networks are cut in both
directions and in one. Then all cuts end, one seed name points to a living node, and two minutes pass.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random

import attrs
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.effort import EFFORT
from support.invariants import agreed
from support.seeded import Seeded, SeedNames
from support.simulator import Process, Simulation

from pydoudou.drivers.memberlist.protocol import Config, Dialect

WEEKS = 60 if EFFORT == 1 else 200 * EFFORT
"""Two thousand in `make long`."""
AT_ONCE = 10
PLACES = 10
SETTLED_AFTER = 120.0
LEAVE_WITHIN = 5.0
SEEDS = ("seed-a", "seed-b")
pytestmark = pytest.mark.timeout(120)


class Week:
    """One of them, from one seed."""

    def __init__(self, seed: int, tell: Callable[[str], None] = lambda line: None) -> None:
        self.simulation = Simulation(seed)
        self._chance = chance = Random(f"week {seed}")
        self._tell = tell
        self._dialect = chance.choice(list(Dialect))
        self._names = SeedNames()
        self._lives = 0
        self._size = chance.randint(1, 5)
        self._free = [f"node-{number}" for number in range(self._size)]
        self._places = [(f"10.0.0.{number + 1}", 7946) for number in range(PLACES)]
        self._names.addresses[SEEDS[0]] = self._places[:1]
        self._move_seed(SEEDS[1])
        for place in self._places[: self._size]:
            self._start(place, self._free[0])

    def run(self) -> None:
        """The week, and the two minutes after it.

        Raises:
            AssertionError: somebody sees somebody else than those who live.
        """
        happenings = (
            (3, self._crash),
            (3, self._leave),
            (6, self._start_somewhere),
            (3, self._replace),
            (4, lambda: self._move_seed(self._chance.choice(SEEDS))),
            (2, self._partition),
            (2, self._cut_one_way),
            (2, self._mend),
        )
        weights = [weight for weight, _ in happenings]
        for _ in range(self._chance.randint(3, 30)):
            self.simulation.run(math.exp(self._chance.uniform(math.log(0.05), math.log(300))))
            self._chance.choices([happening for _, happening in happenings], weights)[0]()
        self._end()

    def _end(self) -> None:
        simulation = self.simulation
        self._mend()
        if not simulation.live:
            self._start_somewhere()
        living = self._chance.choice(simulation.live)
        self._names.addresses[SEEDS[0]] = [living.address]
        self._say(f"all is mended, and {SEEDS[0]} is {living.name}")
        simulation.run(SETTLED_AFTER)
        self._say("the end")
        if not agreed(simulation):
            raise AssertionError(
                f"{simulation}: "
                + "; ".join(
                    f"{process.name} sees "
                    + ", ".join(f"{name} {state.name}" for name, (_, state, _) in sorted(process.view().items()))
                    for process in simulation.live
                )
            )

    def _say(self, what: str) -> None:
        views = {process.name: sorted(process.view()) for process in self.simulation.live}
        self._tell(f"{self.simulation.now:8.1f} {what}; {views}")

    # -- what happens --------------------------------------------------------------------------------------------------

    def _start(self, place: tuple[str, int], name: str) -> None:
        self._lives += 1
        process = self.simulation.processes.get(place)
        if process is None:
            config = Config.lan(name, *place, dialect=self._dialect, dead_node_reclaim_time=3.0)
            process = self.simulation.add(config)
        else:
            process.config = attrs.evolve(process.config, name=name)
            self.simulation.restart(process, b"life %d" % self._lives)
        if name in self._free:
            self._free.remove(name)
        Seeded(self.simulation, process, self._names, SEEDS)
        self._say(f"{name} starts at {place[0]}")

    def _some_process(self) -> Process | None:
        live = self.simulation.live
        return self._chance.choice(live) if live else None

    def _crash(self) -> None:
        if process := self._some_process():
            self.simulation.crash(process)
            self._free.append(process.name)
            self._say(f"{process.name} crashes")

    def _leave(self) -> None:
        if process := self._some_process():
            self.simulation.leave(process)
            self.simulation.run_until(lambda: process.core.left, LEAVE_WITHIN)
            self.simulation.crash(process)
            self._free.append(process.name)
            self._say(f"{process.name} leaves")

    def _start_somewhere(self) -> None:
        """One more: under the name that was at its place, that of another who is gone, or a new one."""
        live = {process.address for process in self.simulation.live}
        if len(live) == self._size:
            return
        place = self._chance.choice([place for place in self._places if place not in live])
        before = self.simulation.processes.get(place)
        names = [f"node-{self._lives}x", self._chance.choice(self._free)]
        if before is not None and before.name in self._free:
            names += [before.name] * 2
        self._start(place, self._chance.choice(names))

    def _replace(self) -> None:
        """As a supervisor does it: at once."""
        process = self._some_process()
        if process is not None:
            self.simulation.crash(process)
            self._free.append(process.name)
            self._start(process.address, self._chance.choice([process.name, f"node-{self._lives}x"]))

    def _move_seed(self, name: str) -> None:
        """To some places, most of which nobody is at, or out of the name service."""
        if self._chance.random() < 0.1:
            self._names.addresses.pop(name, None)
        else:
            self._names.addresses[name] = self._chance.sample(self._places, self._chance.randint(1, 3))
        self._say(f"{name} is {self._names.addresses.get(name)}")

    def _partition(self) -> None:
        one, other = self._sides()
        self.simulation.partition(one, other)
        self._say(f"cut between {[p.name for p in one]} and {[p.name for p in other]}")

    def _cut_one_way(self) -> None:
        one, other = self._sides()
        self.simulation.cut(one, other)
        self._say(f"cut from {[p.name for p in one]} to {[p.name for p in other]}")

    def _sides(self) -> tuple[list[Process], list[Process]]:
        processes = list(self.simulation.processes.values())
        self._chance.shuffle(processes)
        middle = self._chance.randint(0, len(processes))
        return processes[:middle], processes[middle:]

    def _mend(self) -> None:
        self.simulation.mend()
        self._say("the network is whole")


@pytest.mark.parametrize("first", range(0, WEEKS, AT_ONCE), ids="from seed {}".format)
def test_after_a_bad_week_everybody_sees_exactly_those_who_live(first: int) -> None:
    failures = []
    for seed in range(first, first + AT_ONCE):
        try:
            Week(seed).run()
        except AssertionError as error:
            failures.append(f"{error}: python {Path(__file__).name} {seed} tells it")
    assert not failures, "\n".join(failures)


if __name__ == "__main__":
    for seed in map(int, sys.argv[1:]):
        Week(seed, print).run()
