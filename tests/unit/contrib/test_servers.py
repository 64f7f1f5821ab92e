"""The states of a registered server, its check, and what is said of one that does not answer."""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import signal
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from support.http_members import HttpMember, redirect
from support.scripted import ScriptedPlugin, settings
from support.waiting import eventually

from pydoudou import RegistrationError, Registry
from pydoudou.contrib.servers import CalledServer, Check, DrainFirst, Event, RegisteredServer, State, following
from pydoudou.contrib.servers.registered_above import marked
from pydoudou.discovery import default_registry

REGISTERED = {"register": True, "service_name": "orders", "register_host": "127.0.0.1"}


# -- states ------------------------------------------------------------------------------------------------------------


def test_a_server_goes_through_its_states_in_order() -> None:
    state, seen = State.STARTING, []
    for event in (Event.ANSWERED, Event.REGISTERED, Event.TOLD_TO_GO, Event.SERVED_ON):
        state = following(state, event)
        seen.append(state)
    assert seen == [State.READY, State.REGISTERED, State.DRAINING, State.LEFT]


def test_no_event_leads_back() -> None:
    order = list(State)
    for state, event in itertools.product(State, Event):
        assert order.index(following(state, event)) >= order.index(state)


@pytest.mark.parametrize("state", [State.STARTING, State.READY])
def test_who_was_never_registered_has_left_at_once(state: State) -> None:
    assert following(state, Event.TOLD_TO_GO) is State.LEFT


# -- the check ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def server() -> Iterator[HttpMember]:
    with HttpMember("a") as member:
        yield member


def test_any_answer_that_is_no_fault_will_do_and_no_redirect_is_followed(server: HttpMember) -> None:
    check = Check("127.0.0.1", server.member().port)
    assert check.problem() == ""
    server.answer = redirect("http://127.0.0.1:1/", on="/")
    assert check.problem() == ""


def test_a_port_that_nobody_listens_on_is_a_problem() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        assert "Connection refused" in Check("127.0.0.1", unused.getsockname()[1]).problem()


def test_a_port_that_takes_connections_and_says_nothing_is_a_problem() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert "timed out" in Check("127.0.0.1", silent.getsockname()[1], timeout=0.05).problem()


@pytest.mark.parametrize("path", ["healthz", "", "/a b", "/a\r\nHost: b", "/ä"])
def test_a_path_that_cannot_stand_in_a_request_is_an_error(path: str) -> None:
    with pytest.raises(ValueError, match="accepted: a path such as /healthz"):
        Check("127.0.0.1", 80, path)


# -- the server --------------------------------------------------------------------------------------------------------


@pytest.fixture
def plugin() -> ScriptedPlugin:
    return ScriptedPlugin("gossip")


def held_back(plugin: ScriptedPlugin, port: int) -> Registry:
    registry = Registry(settings(plugin, **REGISTERED, port=port))
    registry.start(announce=False)
    return registry


@contextlib.contextmanager
def registering(plugin: ScriptedPlugin, port: int, *path: str, **options: Any) -> Iterator[RegisteredServer]:
    """One whose registry waits for the server on the port."""
    registry = held_back(plugin, port)
    registered = RegisteredServer(registry, *path, **options)
    try:
        registered.start()
        yield registered
    finally:
        registered.stop()
        registry.stop()


def test_a_port_that_never_answers_is_never_registered_and_one_warning_says_what_was_tried(
    plugin: ScriptedPlugin, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as closed:
        port = closed.getsockname()[1]
    with (
        caplog.at_level(logging.WARNING),
        registering(plugin, port, "/healthz", warn_after=0.1) as server,
    ):
        eventually(lambda: server.status().asked > 4)
        status = server.status()
        assert (status.state, plugin.driver.instance) == (State.STARTING, None)
        assert status.check == f"http://127.0.0.1:{port}/healthz"
        assert "Connection refused" in status.problem
        assert status.to_dict()["state"] == "starting"
        (warning,) = caplog.messages
        assert warning.startswith(f"orders is not registered: GET http://127.0.0.1:{port}/healthz")
        assert "Connection refused" in warning
    assert plugin.driver.instance is None


def test_a_check_that_answers_500_is_not_ready_and_said(plugin: ScriptedPlugin, server: HttpMember) -> None:
    def fail(handler: Any) -> None:
        handler.send_response(500)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    server.answer = fail
    with registering(plugin, server.member().port) as registered:
        eventually(lambda: registered.status().problem)
        assert registered.status().problem == "it answers with status 500"


def test_an_answer_that_the_application_has_not_seen_is_another_processs_at_first(
    plugin: ScriptedPlugin, server: HttpMember
) -> None:
    with registering(plugin, server.member().port, doubtful=True) as registered:
        eventually(lambda: registered.status().asked > 2)
        assert registered.status().problem == "what answers there is another process"
        assert (registered.status().state, plugin.driver.instance) == (State.STARTING, None)
        registered.recognise("curl/8")
        assert registered.doubtful
        registered.recognise(server.served[0].headers["user-agent"])
        eventually(lambda: registered.status().state is State.REGISTERED)
        assert not registered.doubtful


def test_an_answer_that_the_application_never_sees_is_believed_after_a_while(
    plugin: ScriptedPlugin, server: HttpMember
) -> None:
    with registering(plugin, server.member().port, doubtful=True) as registered:
        eventually(lambda: registered.status().state is State.REGISTERED, timeout=15)


def test_a_backend_that_refuses_is_asked_again(plugin: ScriptedPlugin, server: HttpMember) -> None:
    plugin.update_error = RegistrationError("not now")
    with registering(plugin, server.member().port) as registered:
        eventually(lambda: "not now" in registered.status().problem)
        assert registered.status().state is State.READY
        plugin.update_error = None
        eventually(lambda: registered.status().state is State.REGISTERED)
        assert plugin.driver.instance is not None


def test_a_signal_has_it_drain_and_then_calls_the_handler_that_was_there(
    plugin: ScriptedPlugin, server: HttpMember
) -> None:
    registry = held_back(plugin, server.member().port)
    registered = RegisteredServer(registry, drain=0.2)
    heard: list[State] = []
    before = signal.signal(signal.SIGUSR2, lambda *_: heard.append(registered.status().state))
    drain_first = DrainFirst(registered, signal.SIGUSR2)
    try:
        registered.start()
        eventually(lambda: registered.status().state is State.REGISTERED)
        assert drain_first.set()
        os.kill(os.getpid(), signal.SIGUSR2)
        assert heard == []
        eventually(lambda: heard)
        assert heard == [State.LEFT]
        os.kill(os.getpid(), signal.SIGUSR2)
        assert len(heard) == 2
        assert plugin.driver.log == ["run", "leave"]
        drain_first.take_back()
    finally:
        signal.signal(signal.SIGUSR2, before)
        registered.stop()
        registry.stop()


def test_a_signal_after_the_registry_was_stopped_is_still_answered_by_the_handler_that_was_there(
    plugin: ScriptedPlugin, server: HttpMember
) -> None:
    registry = held_back(plugin, server.member().port)
    registered = RegisteredServer(registry)
    heard: list[int] = []
    before = signal.signal(signal.SIGUSR2, lambda number, _: heard.append(number))
    drain_first = DrainFirst(registered, signal.SIGUSR2)
    try:
        registered.start()
        eventually(lambda: registered.status().state is State.REGISTERED)
        assert drain_first.set()
        registry.stop()
        os.kill(os.getpid(), signal.SIGUSR2)
        eventually(lambda: heard == [signal.SIGUSR2])
        drain_first.take_back()
    finally:
        signal.signal(signal.SIGUSR2, before)
        registered.stop()


def test_a_signal_after_the_registry_was_stopped_before_anything_answered_is_not_swallowed(
    plugin: ScriptedPlugin, server: HttpMember
) -> None:
    registry = held_back(plugin, server.member().port)
    registry.stop()
    registered = RegisteredServer(registry)
    registered.start()
    try:
        eventually(lambda: registered.status().state is State.LEFT)
        assert not registered.drain_soon()
    finally:
        registered.stop()


# -- one whose application is called -----------------------------------------------------------------------------------


def test_what_nobody_calls_is_never_registered_and_one_warning_says_what_was_tried(
    plugin: ScriptedPlugin, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as closed:
        port = closed.getsockname()[1]
    server = CalledServer(settings=settings(plugin, **REGISTERED, port=port), check="/healthz", warn_after=0.1)
    try:
        with caplog.at_level(logging.WARNING):
            server.ask()
            eventually(lambda: server.status().asked > 4)
        status = server.status()
        assert (status.state, status.check) == (State.STARTING, f"http://127.0.0.1:{port}/healthz")
        assert "Connection refused" in status.problem
        (warning,) = caplog.messages
        assert warning.startswith(f"orders is not registered: GET http://127.0.0.1:{port}/healthz")
    finally:
        server.stop()
    assert server.status().state is State.LEFT


def test_what_is_called_in_another_process_is_not_registered_by_this_one(
    plugin: ScriptedPlugin, server: HttpMember
) -> None:
    called = CalledServer(settings=settings(plugin, **REGISTERED, port=server.member().port))
    try:
        called.ask()
        eventually(lambda: called.status().asked and not called.status().problem)
        assert default_registry.current() is None
    finally:
        called.stop()


def test_what_is_called_is_registered_once_and_leaves_when_it_is_stopped(
    plugin: ScriptedPlugin, server: HttpMember
) -> None:
    called = CalledServer(settings=settings(plugin, **REGISTERED, port=server.member().port))
    try:
        for _ in range(3):
            called.called()
        eventually(lambda: called.status().state is State.REGISTERED)
    finally:
        called.stop()
    assert plugin.driver.log == ["run", "leave", "end"]
    assert default_registry.current() is None


def test_a_program_of_run_is_registered_already(
    plugin: ScriptedPlugin, server: HttpMember, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = settings(plugin, **REGISTERED, port=server.member().port)
    for name, value in marked({}, chosen).items():
        monkeypatch.setenv(name, value)
    called = CalledServer(settings=chosen)
    called.ask()
    called.called()
    called.stop()
    assert called.status().asked == 0
    assert default_registry.current() is None


def test_settings_that_cannot_be_used_are_an_error_in_the_log_and_the_application_answers(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GDD_SERVICE_NAME", "a b")
    called = CalledServer()
    called.called()
    eventually(lambda: caplog.records)
    called.stop()
    assert "GDD_SERVICE_NAME" in caplog.text
