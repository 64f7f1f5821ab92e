"""What must hold at every moment of a simulation, and what may be asked of it at the end."""

from __future__ import annotations

import attrs
from support.simulator import Network, Process, Simulation

from pydoudou.drivers.memberlist.protocol import Config, Dialect, State
from pydoudou.drivers.memberlist.protocol.events import Event, NodeLeft

__all__ = ["Death", "Watch", "agreed", "lan", "watched"]


def lan(number: int, dialect: Dialect = Dialect.DOUDOU, **changes: object) -> Config:
    """The settings of node `number` in one data centre, by memberlist's LAN profile."""
    host = f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"
    return Config.lan(f"node-{number}", host, 7946, dialect=dialect, **changes)


@attrs.frozen
class Death:
    """One node declared another one dead. `truly`: nothing ran at that address then."""

    at: float
    observer: str
    name: str
    truly: bool


class Watch:
    """Follows every step of every node.

    Attributes:
        deaths: all declarations of death so far.
    """

    def __init__(self) -> None:
        self.simulation: Simulation | None = None
        self.deaths: list[Death] = []
        self._known: dict[tuple[str, int], dict[str, tuple[tuple[str, int], int]]] = {}

    def event(self, process: Process, event: Event) -> None:
        """Write down a declaration of death."""
        simulation = self.simulation
        if isinstance(event, NodeLeft) and event.node.state is State.DEAD and simulation is not None:
            suspect = simulation.processes[event.node.host, event.node.port]
            self.deaths.append(Death(simulation.now, process.name, event.node.name, suspect.swim is None))

    def step(self, process: Process) -> None:
        """Incarnations never go back in the eyes of one node, while it remembers the other at the same address."""
        observer = (process.name, process.life)
        before = self._known.get(observer, {})
        now = {node.name: ((node.host, node.port), node.incarnation) for node in process.core.nodes()}
        for name, (address, incarnation) in now.items():
            known = before.get(name)
            assert known is None or known[0] != address or known[1] <= incarnation, (
                f"{process.name} knew {name} at incarnation {known[1]}, and now at {incarnation}: {self.simulation}"
            )
        self._known[observer] = now

    @property
    def false_deaths(self) -> list[Death]:
        """The declarations about nodes that ran."""
        return [death for death in self.deaths if not death.truly]


def watched(seed: int, network: Network | None = None) -> tuple[Simulation, Watch]:
    """A simulation whose every step is watched."""
    watch = Watch()
    watch.simulation = Simulation(seed, network, on_event=watch.event, on_step=watch.step)
    return watch.simulation, watch


def agreed(simulation: Simulation) -> bool:
    """Whether all live nodes hold exactly the live ones to be members, alive, with what each says about itself."""
    live = simulation.live
    views = [process.view() for process in live]
    truth = {process.name: view.get(process.name) for process, view in zip(live, views, strict=True)}
    return all(view == truth for view in views) and all(own and own[1] is State.ALIVE for own in truth.values())
