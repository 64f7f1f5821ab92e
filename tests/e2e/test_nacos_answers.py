"""Every answer that a Nacos server can give to every question that is asked of it: what the driver does about it.

The server is scripted, the client is the real SDK. Whatever is answered about one thing, the driver goes on, this
process stays registered, and everybody else's services stay as they are. The table is printed with the figures.
"""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from functools import partial

import anyio
import attrs
import pytest

pytest.importorskip("v2.nacos")

from support.scripted_nacos import Answer, Question, ScriptedNacos, payload_of

from pydoudou import Member, MemberState, RegistrationError
from pydoudou.drivers.members import Instance
from pydoudou.drivers.nacos import NacosDriver, NacosSettings
from pydoudou.drivers.nacos.listings import KEPT_FOR
from pydoudou.drivers.nacos.settings import Server

INTERVAL = 2.0
"""Seconds. A quarter of it is what the server has to answer, which on a busy machine many of them share."""
TROUBLE_LASTS = 3.0
BACK_WITHIN = 20.0

Record = Callable[[str, object], None]


@attrs.define
class Sink:
    """What the driver reports: who is there, by service; and every loss."""

    members: dict[str, dict[str, Member]] = attrs.Factory(dict)
    lost: list[str] = attrs.Factory(list)
    in_touch: bool = True

    def observe(self, members: Iterable[Member]) -> None:
        for member in members:
            if member.state.present:
                self.members.setdefault(member.service, {})[member.host] = member
                continue
            if self.members[member.service].pop(member.host, None) and member.state is MemberState.FAILED:
                self.lost.append(member.service)

    def authoritative(self, yes: bool, reason: str = "") -> None:
        self.in_touch = yes

    judging = authoritative


@attrs.define
class Scene:
    """A driver that runs, registered as `me` and subscribed to `fine`, and its server."""

    server: ScriptedNacos
    driver: NacosDriver
    sink: Sink
    longest_absence: float = 0.0

    def sees(self, service: str) -> bool:
        return bool(self.sink.members.get(service))

    def registered(self) -> bool:
        return all("127.0.0.1" in self.server.listed(name) for name in ("me", "me_rest"))

    def well(self) -> bool:
        return self.registered() and self.driver.status().ready and self.sink.in_touch

    async def watch_registration(self) -> None:
        """Measure for how long the server has not what it should have.

        Of a moment in which this process got no processor, a tenth of a second counts: the driver got none either.
        """
        absent, last = 0.0, time.monotonic()
        while True:
            now = time.monotonic()
            absent = 0.0 if self.registered() else absent + min(now - last, 0.1)
            last = now
            self.longest_absence = max(self.longest_absence, absent)
            await anyio.sleep(0.02)


def instance(**data: str) -> Instance:
    return Instance("me", "127.0.0.1", 7000, data=data)


async def until(condition: Callable[[], bool], what: str, within: float = BACK_WITHIN) -> float:
    """Seconds until it is so."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < within, f"not within {within:g} s: {what}"
        await anyio.sleep(0.02)
    return time.monotonic() - began


def settings(server: ScriptedNacos, **fields: object) -> NacosSettings:
    host, port = server.address.split(":")
    some = {"request_timeout": 1.0, "check_interval": INTERVAL} | fields
    return NacosSettings((Server(host, int(port)),), **some)  # type: ignore[arg-type]


@asynccontextmanager
async def running(**fields: object) -> AsyncIterator[Scene]:
    """The scene, in which a driver that ends ends the test; with these settings of it."""
    with ScriptedNacos() as server:
        server.offer("fine", "10.0.0.1")
        scene = Scene(server, NacosDriver(settings(server, **fields)), Sink())
        async with anyio.create_task_group() as tasks:
            await tasks.start(scene.driver.run, scene.sink, instance())
            await scene.driver.subscribe("fine")
            await until(lambda: scene.well() and scene.sees("fine"), "the beginning")
            tasks.start_soon(scene.watch_registration)
            yield scene
            tasks.cancel_scope.cancel()


def with_every_answer(scene: Callable[[Answer, list[str]], Awaitable[None]], record_property: Record) -> None:
    """Play it with all answers at the same time, and print the rows that it writes."""
    rows: list[str] = []

    async def main() -> None:
        async with anyio.create_task_group() as all_answers:
            for answer in Answer:
                all_answers.start_soon(scene, answer, rows)

    anyio.run(main)
    for row in sorted(rows):
        record_property("figures", row)


# -- once it runs ------------------------------------------------------------------------------------------------------

Trigger = Callable[[Scene, Answer], Awaitable[str]]


async def nothing(scene: Scene, answer: Answer) -> str:
    """The driver asks by itself."""
    return ""


async def update(scene: Scene, answer: Answer) -> str:
    try:
        await scene.driver.update(instance(zone="b"))
    except RegistrationError:
        assert answer.refuses
        return "update raises RegistrationError"
    assert not answer.refuses
    return "update returns, repeated in the background"


async def subscribe(scene: Scene, answer: Answer) -> str:
    await scene.driver.subscribe("trouble")
    return ""


async def unsubscribe(scene: Scene, answer: Answer) -> str:
    await scene.driver.subscribe("dull")
    await until(lambda: scene.sees("dull"), "dull is seen")
    await scene.driver.unsubscribe("dull")
    assert not scene.sees("dull")
    return "its members leave all the same"


async def everything(scene: Scene, answer: Answer) -> str:
    await scene.driver.subscribe(None)
    return ""


def updated(scene: Scene, answer: Answer) -> bool:
    zone = scene.server.listed("me")["127.0.0.1"]["metadata"].get("zone", "")
    return zone == ("" if answer.refuses else "b")


def troubled_is_seen(scene: Scene, answer: Answer) -> bool:
    """A refused service is asked for again after half a minute, so not here."""
    return answer.refuses or scene.sees("trouble")


def fine_is_seen(scene: Scene, answer: Answer) -> bool:
    return scene.sees("fine")


@attrs.frozen
class Case:
    """One question, about a service or about any for "".

    Attributes:
        trigger: what makes the driver ask.
        mended: what is so again when the server answers rightly again.
        also: what else the server answers wrongly.
    """

    question: Question
    services: tuple[str, ...]
    trigger: Trigger = nothing
    mended: Callable[[Scene, Answer], bool] = fine_is_seen
    also: tuple[Question, ...] = ()

    @property
    def name(self) -> str:
        return " and ".join(map(str, (self.question, *self.also)))


CASES = [
    Case(Question.QUERY, ("me", "me_rest")),
    Case(Question.QUERY, ("me",)),
    Case(Question.QUERY, ("fine",)),
    Case(Question.QUERY, ("",)),
    Case(Question.QUERY, ("",), also=(Question.HEALTH,)),
    Case(Question.REGISTER, ("me", "me_rest"), update, updated),
    Case(Question.SUBSCRIBE, ("trouble", "trouble_rest"), subscribe, troubled_is_seen),
    Case(Question.UNSUBSCRIBE, ("",), unsubscribe),
    Case(Question.NAMES, ("",), everything, troubled_is_seen),
]


async def play(case: Case, answer: Answer, rows: list[str]) -> None:
    """One question answered wrongly for a while, and rightly again."""
    async with running() as scene:
        server, driver = scene.server, scene.driver
        for service in ("trouble", "later", "dull"):
            server.offer(service, "10.0.0.9")
        troubles = [(case.question, service) for service in case.services] + [(also, "") for also in case.also]
        server.instead.update(dict.fromkeys(troubles, answer))
        did = await case.trigger(scene, answer)
        began = time.monotonic()
        await driver.subscribe("later")
        took = await until(lambda: scene.sees("later"), "another service is found meanwhile")
        await anyio.sleep(max(0.0, TROUBLE_LASTS - (time.monotonic() - began)))
        status = driver.status()
        server.instead.clear()
        back = await until(
            lambda: scene.well() and case.mended(scene, answer), f"well again: {driver.status()}, {scene.sink}"
        )
        assert scene.sees("fine")
        assert scene.sink.lost == []
        server.withdraw("fine", "10.0.0.1")
        # Whoever goes before a new connection has listed them once is kept for as long as anybody is after one.
        await until(lambda: not scene.sees("fine"), "who goes is gone", KEPT_FOR + BACK_WITHIN)
        about = f"{case.name} ({', '.join(filter(None, case.services)) or 'any'})"
        sessions = status.counters["sessions"]
        rows.append(
            f"{about:42} | {answer:18} | {'ready' if status.ready else 'not ready':9} | {sessions} session"
            f"{'s' if sessions > 1 else ' '} | unregistered {scene.longest_absence:4.1f} s | another service after "
            f"{took:3.1f} s | well again after {back:3.1f} s{' | ' if did else ''}{did}"
        )
        # A server that calls the connection unregistered has forgotten what was registered through it.
        forgets = TROUBLE_LASTS if answer is Answer.UNREGISTERED else 0.0
        assert scene.longest_absence < forgets + 2 * INTERVAL + 1.0


@pytest.mark.timeout(120)
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.name}: {', '.join(case.services)}")
def test_whatever_is_answered_the_rest_stays(case: Case, record_property: Record) -> None:
    with_every_answer(partial(play, case), record_property)


@pytest.mark.parametrize("answer", [each for each in Answer if each.is_error], ids=str)
def test_an_error_is_an_answer_and_the_connection_stays(answer: Answer) -> None:
    """The SDK would ask three times, and then let no other question out before it had looked at the connection."""

    async def main() -> None:
        async with running() as scene:
            before = scene.server.asked[Question.REGISTER, "me"]
            scene.server.instead[Question.REGISTER, "me"] = answer
            if answer.refuses:
                with pytest.raises(RegistrationError):
                    await scene.driver.update(instance(zone="b"))
            else:
                await scene.driver.update(instance(zone="b"))
            # Once, and once more where the registration from before is put back.
            assert scene.server.asked[Question.REGISTER, "me"] - before == 1 + answer.refuses
            assert scene.server.asked[Question.HEALTH, ""] == 0

    anyio.run(main)


# -- pushes ------------------------------------------------------------------------------------------------------------


PUSHES = {
    "no JSON": lambda scene: payload_of("NotifySubscriberRequest", b"\xff<html>"),
    "an unknown type": lambda scene: payload_of("NoSuchRequest", b"{}"),
    "nothing at all": lambda scene: payload_of("", b""),
    "nothing but nulls": lambda scene: payload_of(
        "NotifySubscriberRequest", dict.fromkeys(scene.server.notification("fine"))
    ),
    "half a push": lambda scene: payload_of("NotifySubscriberRequest", b'{"serviceInfo":{"name":"fine","hosts":['),
    "a list without hosts": lambda scene: payload_of(
        "NotifySubscriberRequest", {"serviceInfo": {"name": "elsewhere", "groupName": "DEFAULT_GROUP", "hosts": 7}}
    ),
    "a service nobody asked for": lambda scene: payload_of(
        "NotifySubscriberRequest", scene.server.notification("elsewhere")
    ),
    "a question to the client": lambda scene: payload_of("ClientDetectionRequest", {"requestId": "1"}),
    "go to another server": lambda scene: payload_of("ConnectResetRequest", {"serverIp": "", "serverPort": ""}),
}


@pytest.mark.parametrize("what", PUSHES)
def test_whatever_is_pushed_the_next_push_is_read(what: str) -> None:
    async def main() -> None:
        async with running() as scene:
            for _ in range(3):
                scene.server.push(PUSHES[what](scene))
            scene.server.offer("fine", "10.0.0.2")
            await until(lambda: "10.0.0.2" in scene.sink.members["fine"], "the next push")
            await until(scene.well, "well")
            assert scene.sink.lost == []
            assert scene.longest_absence < 2 * INTERVAL + 1.0

    anyio.run(main)


# -- while connecting --------------------------------------------------------------------------------------------------


async def start(question: Question, answer: Answer, rows: list[str]) -> None:
    """The first session meets the wrong answer, which is mended after a while."""
    with ScriptedNacos() as server:
        server.offer("fine", "10.0.0.1")
        credentials = {"username": "me", "password": "secret"} if question is Question.LOG_IN else {}
        scene = Scene(server, NacosDriver(settings(server, **credentials)), Sink())
        server.instead[question, ""] = answer
        refused = ""
        async with anyio.create_task_group() as tasks:
            began = time.monotonic()
            try:
                await tasks.start(partial(run_or_tell, scene.driver), scene.sink)
            except* RegistrationError as group:
                refused = str(group.exceptions[0])
            took = time.monotonic() - began
            row = f"at the start: {question:28} | {answer:18} | "
            if refused:
                rows.append(f"{row}RegistrationError")
                assert answer.refuses, refused
                assert "secret" not in refused
                return
            assert question is Question.CONNECT or not answer.refuses
            await scene.driver.subscribe("fine")
            await anyio.sleep(0.5)
            message = scene.driver.status().message
            server.instead.clear()
            back = await until(lambda: scene.well() and scene.sees("fine"), f"ready: {scene.driver.status()}", 20.0)
            rows.append(f"{row}started after {took:4.1f} s, ready {back:3.1f} s after the end of it; {message:.60}")
            tasks.cancel_scope.cancel()


async def run_or_tell(driver: NacosDriver, sink: Sink, *, task_status: anyio.abc.TaskStatus[None]) -> None:
    await driver.run(sink, instance(), task_status=task_status)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("question", [Question.CONNECT, Question.LOG_IN, Question.REGISTER, Question.QUERY])
def test_whatever_is_answered_at_the_start_only_a_refusal_ends_it(question: Question, record_property: Record) -> None:
    with_every_answer(partial(start, question), record_property)


@pytest.mark.parametrize("answer", list(Answer))
def test_whatever_is_answered_it_leaves_in_time(answer: Answer, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with running() as scene:
            scene.server.instead[Question.DEREGISTER, ""] = answer
            began = time.monotonic()
            await scene.driver.leave()
            assert time.monotonic() - began < 2.5

    with caplog.at_level(logging.WARNING, "pydoudou.drivers.nacos"):
        anyio.run(main)
    assert 1 <= len(caplog.records) <= 2  # that it did not work, and perhaps that the connection was lost over it


QUESTIONS_IN_FLIGHT: dict[Question, Callable[[NacosDriver], Awaitable[None]]] = {
    Question.DEREGISTER: lambda driver: driver.leave(),
    Question.REGISTER: lambda driver: driver.update(instance(zone="b")),
    Question.SUBSCRIBE: lambda driver: driver.subscribe("trouble"),
    Question.NAMES: lambda driver: driver.subscribe(None),
}


@pytest.mark.parametrize("question", QUESTIONS_IN_FLIGHT, ids=str)
def test_a_connection_that_is_closed_while_a_question_is_open_ends_the_question_and_nothing_else(
    question: Question, caplog: pytest.LogCaptureFixture
) -> None:
    """gRPC cancels whoever waits for an answer on a channel that is closed."""
    ended: list[str] = []

    async def main() -> None:
        async with running(check_interval=0.8, request_timeout=2.0) as scene, anyio.create_task_group() as asking:
            scene.server.instead[question, ""] = Answer.SILENCE

            async def ask() -> None:
                await QUESTIONS_IN_FLIGHT[question](scene.driver)
                ended.append("as any other question without an answer")

            before = scene.server.times_asked(question)
            asking.start_soon(ask)
            await until(lambda: scene.server.times_asked(question) > before, "asked")
            # To the next check, whereupon the client of the SDK connects anew and closes what it had.
            scene.server.instead[Question.QUERY, ""] = Answer.UNREGISTERED
            await until(lambda: bool(ended), "the question has ended")
            scene.server.instead.clear()
            await until(lambda: scene.driver.status().counters["sessions"] > 1, "a new session")

    with caplog.at_level(logging.WARNING, "pydoudou.drivers.nacos"):
        anyio.run(main)
    assert ended


def test_the_table_is_made_of_every_question() -> None:
    asked = {case.question for case in CASES} | {also for case in CASES for also in case.also}
    assert asked | {Question.CONNECT, Question.LOG_IN, Question.DEREGISTER} == set(Question)
