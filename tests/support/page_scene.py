"""A registry in which a lot goes on at once, for looking at the page: services as in go-doudou's tutorial, some of
their members in trouble. The members are invented; what is remembered of calls to them comes from calls.
"""

from __future__ import annotations

import contextlib
import itertools
import random
import threading
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
from support.scripted import ScriptedPlugin, settings

import pydoudou
from pydoudou import DriverStatus, Member, MemberState, Registry
from pydoudou.balancers.memory.pick import Pick
from pydoudou.drivers.members import Outcome, Reached

__all__ = ["MANY", "SCENE", "crowd", "scene"]

_SERVICES = {"wordcloud-bff": 2, "wordcloud-maker": 5, "wordcloud-seg": 3, "wordcloud-task": 4, "wordcloud-user": 3}
_IN_NACOS = frozenset({"wordcloud-bff", "wordcloud-user"})
SCENE = sum(_SERVICES.values())
MANY = 5000


def _members(counts: dict[str, int]) -> list[Member]:
    luck = random.Random(7)
    now = datetime.now(UTC)
    members = []
    for place, (service, count) in enumerate(counts.items()):
        for number in range(1, count + 1):
            go = (place + number) % 3 != 0
            process: dict[str, str | int] = {"goVer": "go1.22.5" if go else "py3.12", "memPort": 7946}
            if go:
                process |= {"gddVer": "v2.5.13", "buildUser": "ci", "buildTime": "2026-11-20 09:12"}
            zone = "abc"[number % 3]
            data = {"zone": f"eu-{zone}", "version": f"1.{luck.randrange(4, 9)}.{number % 4}"}
            if number % 4 == 1:
                data |= {"canary": "true", "note": "<script>alert(1)</script>"}
            members.append(
                Member(
                    service,
                    f"10.{20 + place}.{number // 250}.{number % 250 + 1}",
                    6060,
                    root_path="/v1" if place % 2 else "",
                    weight=float(luck.choice((1, 1, 1, 2, 5))),
                    data=data,
                    node=f"{service}-{luck.randrange(16**5):05x}",
                    sources=(),
                    registered_at=now - timedelta(seconds=luck.expovariate(1 / 260_000)),
                    process=process,
                )
            )
    return members


@attrs.define(eq=False)
class _Backend(ScriptedPlugin):
    """Tells of itself what a backend tells."""

    message: str = ""
    gauges: dict[str, float] = attrs.Factory(dict)

    def create(self, settings: object) -> Any:
        driver = super().create(settings)
        told = DriverStatus(self.mode, True, self.message, len(self.members), gauges=self.gauges)
        driver.status = lambda: told  # type: ignore[method-assign]
        return driver


def _gossip(members: list[Member]) -> _Backend:
    message = "page-3f9c1a at 10.20.0.9:7946, joined through 2 seeds"
    return _Backend("memberlist", members=members, message=message, gauges={"health_score": 0.0})


@contextlib.contextmanager
def scene() -> Iterator[Registry]:
    """The registry, in which one member is suspect, one ejected, one drains, and calls go on."""
    members = _members(_SERVICES)
    gossip = _gossip(members)
    listed = [each for each in members if each.service in _IN_NACOS]
    nacos = _Backend("nacos", members=listed, message="connected to 10.20.0.8:8848, registered nothing")
    with Registry(settings(gossip, nacos)) as registry:
        over = threading.Event()
        story = threading.Thread(target=_tell, args=(registry, gossip, members, over), daemon=True)
        story.start()
        yield registry
        over.set()
        story.join(10)


def _tell(registry: Registry, gossip: ScriptedPlugin, members: list[Member], over: threading.Event) -> None:
    """Members are suspected and come back, one is not reached by any call, and one takes its leave."""
    makers = [each for each in members if each.service == "wordcloud-maker"]
    tasks = [each for each in members if each.service == "wordcloud-task"]
    balancers = {
        0.62: pydoudou.LeastLatency("wordcloud-maker", registry=registry),
        0.018: pydoudou.LeastLatency("wordcloud-user", registry=registry),
        0.09: pydoudou.LeastLatency("wordcloud-seg", registry=registry),
    }
    luck, picks = random.Random(3), deque[tuple[float, Pick]]()
    gossip.report(attrs.evolve(tasks[3], data={**tasks[3].data, "state": "draining"}))
    for tick in itertools.count():
        if tick % 40 == 0:
            gossip.report(tasks[1], *members[3 : 3 + tick // 40 % 3], state=MemberState.SUSPECT)
        elif tick % 40 == 20:
            gossip.report(*members[3:6])
        for slow, balancer in balancers.items():
            picks.extend((slow, balancer.begin()) for _ in range(8))
        while len(picks) > 24:
            slow, pick = picks.popleft()
            seconds = luck.uniform(0.6, 1.5) * slow
            if pick.member.address == makers[2].address:
                pick.done(Outcome(pick.member, Reached.UNCONNECTED, seconds=seconds))
            else:
                pick.done(Outcome(pick.member, Reached.ANSWERED, 200, seconds, seconds, True))
        if over.wait(0.25):
            return


@contextlib.contextmanager
def crowd(count: int = MANY) -> Iterator[tuple[Registry, ScriptedPlugin]]:
    """A registry of so many members, of fifty services."""
    counts = {f"service-{number:02d}": count // 50 for number in range(50)}
    plugin = _gossip(_members(counts))
    with Registry(settings(plugin)) as registry:
        yield registry, plugin
