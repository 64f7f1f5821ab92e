"""What only a process of its own can show: its exit and its fork."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[2]

PRELUDE = """
import os, signal, sys, threading
import pydoudou
from support.scripted import ScriptedPlugin, member, settings

class Plugin(ScriptedPlugin):
    has_left = False
    def create(self, settings):
        driver = super().create(settings)
        leave = driver.leave
        async def told():
            await leave()
            print("left", flush=True)
            self.has_left = True
        driver.leave = told
        return driver

plugin = Plugin()
"""


def python(script: str, expected_exit: int = 0) -> list[str]:
    """The lines that a process with this script prints; it prints nothing to its standard error."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PRELUDE + textwrap.dedent(script)],
        capture_output=True,
        text=True,
        timeout=20,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(TESTS), *sys.path])},
        check=False,
    )
    assert done.stderr == ""
    assert done.returncode == expected_exit
    return done.stdout.splitlines()


# -- exit --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "start", ["pydoudou.new_node(settings=settings(plugin))", "pydoudou.Registry(settings(plugin)).start()"]
)
def test_a_node_that_is_still_running_leaves_when_the_interpreter_exits(start: str) -> None:
    assert python(start) == ["left"]


def test_it_leaves_when_the_program_exits_early() -> None:
    assert python("pydoudou.new_node(settings=settings(plugin)); sys.exit(3)", expected_exit=3) == ["left"]


def test_it_leaves_after_the_threads_of_the_application_have_ended() -> None:
    script = """
        pydoudou.new_node(settings=settings(plugin))
        worker = threading.Thread(target=lambda: (threading.Event().wait(0.1), print("worked", flush=True)))
        worker.start()
        """
    assert python(script) == ["worked", "left"]


def test_a_node_that_was_shut_down_does_not_leave_again_at_exit() -> None:
    assert python("pydoudou.new_node(settings=settings(plugin)); pydoudou.shutdown()") == ["left"]


def test_a_signal_handler_may_shut_down_while_a_thread_waits_for_events() -> None:
    script = """
        registry = pydoudou.new_node(settings=settings(plugin))
        signal.signal(signal.SIGTERM, lambda number, frame: pydoudou.shutdown())
        threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGTERM)).start()
        for event in registry.watch():
            pass
        print("ended")
        """
    assert python(script) == ["left", "ended"]


def test_a_start_that_is_interrupted_leaves_and_leaves_nothing_behind() -> None:
    script = """
        import anyio
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell in the background has it ignored
        class Unfinished(Plugin):
            def create(self, settings):
                driver = super().create(settings)
                async def run(sink, instance, *, task_status):
                    os.kill(os.getpid(), signal.SIGINT)
                    await anyio.sleep_forever()
                driver.run = run
                return driver
        try:
            pydoudou.new_node(settings=settings(Unfinished()))
        except KeyboardInterrupt:
            print(threading.active_count(), pydoudou.discovery.current())
        """
    assert python(script) == ["left", "1 None"]


# -- fork --------------------------------------------------------------------------------------------------------------

FORK = """
    import warnings
    warnings.simplefilter("ignore", DeprecationWarning)  # of os.fork in a process with threads: what this is about
    registry = pydoudou.new_node(settings=settings(plugin))
    plugin.report(member())
    watch = registry.watch()
    child = os.fork()
    if child == 0:
        {child}
        sys.exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert len(registry.members("orders")) == 1
    print("parent goes on", flush=True)
    """

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="the platform has no fork")


@needs_fork
@pytest.mark.parametrize(
    "use",
    [
        "registry.snapshot('orders')",
        "registry.members()",
        "registry.members('orders')",
        "registry.status()",
        "registry.explain('orders')",
        "registry.watch()",
        "registry.update({})",
        "registry.start()",
        "next(watch)",
    ],
)
def test_any_use_in_a_forked_child_says_what_to_do(use: str) -> None:
    child = f"""
        try:
            {use}
        except pydoudou.RegistryStateError as error:
            print(error, flush=True)
        """
    told, *rest = python(FORK.format(child=textwrap.indent(textwrap.dedent(child), " " * 8).strip()))
    assert "fork()" in told
    assert "pydoudou.new_node()" in told
    assert rest == ["parent goes on", "left"]


@needs_fork
def test_a_forked_child_can_run_a_node_of_its_own() -> None:
    child = "pydoudou.new_node(settings=settings(Plugin())); print('child runs', flush=True)"
    assert python(FORK.format(child=child)) == ["child runs", "left", "parent goes on", "left"]


@needs_fork
def test_a_forked_child_does_not_leave_for_its_parent() -> None:
    assert python(FORK.format(child="registry.stop(); pydoudou.shutdown()")) == ["parent goes on", "left"]


@needs_fork
def test_a_forked_child_that_drops_the_registry_does_not_disturb_its_parent() -> None:
    child = "import gc; pydoudou.shutdown(); del registry, watch; gc.collect()"
    assert python(FORK.format(child=child)) == ["parent goes on", "left"]


# -- SIGTERM -----------------------------------------------------------------------------------------------------------

REGISTERING = """
    import time
    def registering(**fields):
        return settings(plugin, register=True, service_name="orders", register_host="127.0.0.1", **fields)
    def terminate():
        os.kill(os.getpid(), signal.SIGTERM)
    """


def with_sigterm(script: str, expected_exit: int = -signal.SIGTERM) -> list[str]:
    return python(textwrap.dedent(REGISTERING) + textwrap.dedent(script), expected_exit)


@pytest.mark.parametrize(
    "start", ["pydoudou.new_node(settings=registering())", "pydoudou.Registry(registering()).start()"]
)
def test_a_process_that_is_ended_by_sigterm_leaves_and_ends_as_the_signal_says(start: str) -> None:
    assert with_sigterm(f"{start}; terminate(); print('not reached')") == ["left"]


def test_a_node_that_was_started_by_an_asynchronous_program_leaves_at_sigterm() -> None:
    script = """
        import anyio
        async def main():
            async with pydoudou.node(settings=registering()):
                terminate()
                await anyio.sleep(10)
        anyio.run(main)
        """
    assert with_sigterm(script) == ["left"]


def test_sigterm_during_the_start_leaves_too() -> None:
    script = """
        import anyio
        class Unfinished(Plugin):
            def create(self, settings):
                driver = super().create(settings)
                async def run(sink, instance, *, task_status):
                    terminate()
                    await anyio.sleep_forever()
                driver.run = run
                return driver
        plugin = Unfinished()
        pydoudou.new_node(settings=registering())
        """
    assert with_sigterm(script) == ["left"]


def test_a_driver_that_waits_for_a_lock_of_the_interrupted_code_does_not_keep_the_process_from_ending() -> None:
    script = """
        registry = pydoudou.new_node(settings=registering())
        lock = threading.Lock()
        lock.acquire()
        leave = plugin.driver.leave
        async def leave_with_the_lock():
            await leave()
            lock.acquire()
        plugin.driver.leave = leave_with_the_lock
        terminate()
        """
    assert with_sigterm(script) == ["left"]


def test_a_driver_that_does_not_leave_in_time_does_not_keep_the_process_from_ending() -> None:
    script = """
        plugin.leave_takes = 60
        pydoudou.new_node(settings=registering())
        began = time.monotonic()
        terminate()
        """
    assert with_sigterm(script) == []


def test_a_second_sigterm_ends_the_process_at_once() -> None:
    script = """
        plugin.leave_takes = 1.9
        pydoudou.new_node(settings=registering())
        threading.Timer(0.1, terminate).start()
        terminate()
        """
    assert with_sigterm(script) == []


@pytest.mark.parametrize(
    ("handler", "kept"),
    [
        ("signal.SIG_DFL", "signal.SIG_DFL"),
        ("signal.SIG_IGN", "signal.SIG_IGN"),
        ("own", "own"),
    ],
)
def test_the_handler_is_as_it_was_after_the_last_stop(handler: str, kept: str) -> None:
    script = f"""
        def own(number, frame): pass
        signal.signal(signal.SIGTERM, {handler})
        with pydoudou.Registry(registering()) as first, pydoudou.Registry(registering()) as second:
            print(signal.getsignal(signal.SIGTERM) is {kept})
            second.stop()
            print(signal.getsignal(signal.SIGTERM) is {kept})
        print(signal.getsignal(signal.SIGTERM) is {kept})
        """
    told = with_sigterm(script, expected_exit=0)
    ours = str(handler != "signal.SIG_DFL")
    assert [line for line in told if line != "left"] == [ours, ours, "True"]


def test_an_own_handler_has_its_say_and_the_node_leaves_at_the_exit_that_follows() -> None:
    script = """
        signal.signal(signal.SIGTERM, lambda number, frame: (print("own handler", flush=True), sys.exit(3)))
        pydoudou.new_node(settings=registering())
        terminate()
        """
    assert with_sigterm(script, expected_exit=3) == ["own handler", "left"]


def test_an_own_handler_that_is_set_later_has_its_say_and_is_not_taken_away() -> None:
    script = """
        def own(number, frame):
            print("own handler", flush=True)
        registry = pydoudou.new_node(settings=registering())
        signal.signal(signal.SIGTERM, own)
        terminate()
        pydoudou.shutdown()
        print(signal.getsignal(signal.SIGTERM) is own)
        """
    assert with_sigterm(script, expected_exit=0) == ["own handler", "left", "True"]


def test_that_nothing_will_leave_at_a_foreign_handler_is_said_at_the_start() -> None:
    script = """
        import logging
        logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(message)s")
        def own(number, frame): pass
        signal.signal(signal.SIGTERM, own)
        pydoudou.new_node(settings=registering())
        """
    (told, *_) = with_sigterm(script, expected_exit=0)
    assert "__main__.own" in told
    assert "pydoudou.shutdown()" in told


def test_a_server_that_raises_the_signal_again_is_told_of_it_and_the_node_leaves_before() -> None:
    """As uvicorn does: its handler lets the server end in order, and then it restores the disposition and dies."""
    script = """
        told = []
        def handle_exit(number, frame):
            told.append(number)
        handle_exit.__module__ = "uvicorn.server"
        signal.signal(signal.SIGTERM, handle_exit)
        pydoudou.new_node(settings=registering())
        terminate()
        from support.waiting import eventually
        eventually(lambda: plugin.driver.log[-1:] == ["leave"] and plugin.has_left)
        print("the server ends", told == [signal.SIGTERM], flush=True)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        terminate()
        """
    assert with_sigterm(script) == ["left", "the server ends True"]


@pytest.mark.parametrize("fields", ["leave_on_sigterm=False", "register=False"])
def test_sigterm_is_left_alone_where_it_is_not_wanted_and_where_nothing_is_registered(fields: str) -> None:
    script = f"""
        from pydoudou import Settings
        import attrs
        pydoudou.new_node(settings=attrs.evolve(registering(), {fields}))
        print(signal.getsignal(signal.SIGTERM) is signal.SIG_DFL)
        """
    assert with_sigterm(script, expected_exit=0) == ["True", "left"]


def test_a_node_that_was_started_in_another_thread_leaves_sigterm_alone() -> None:
    script = """
        thread = threading.Thread(target=lambda: pydoudou.new_node(settings=registering()))
        thread.start()
        thread.join()
        print(signal.getsignal(signal.SIGTERM) is signal.SIG_DFL)
        """
    assert with_sigterm(script, expected_exit=0) == ["True", "left"]


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0 or shutil.which("unshare") is None,
    reason="a process namespace needs root and unshare",
)
def test_the_first_process_of_a_container_ends_at_sigterm_though_the_kernel_ignores_it() -> None:
    script = textwrap.dedent(PRELUDE + textwrap.dedent(REGISTERING)) + "pydoudou.new_node(settings=registering())\n"
    script += "print(os.getpid(), flush=True)\nsignal.raise_signal(signal.SIGTERM)\ntime.sleep(10)\n"
    done = subprocess.run(
        ["unshare", "--pid", "--fork", sys.executable, "-c", script],
        capture_output=True,
        text=True,
        timeout=20,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(TESTS), *sys.path])},
        check=False,
    )
    if "Operation not permitted" in done.stderr:
        pytest.skip("no process namespace can be made here")
    assert (done.stdout.split(), done.returncode) == (["1", "left"], 143), done.stderr


# -- workers -----------------------------------------------------------------------------------------------------------


@needs_fork
@pytest.mark.parametrize("end", ["return", "raise SystemExit(0)"])
def test_a_worker_that_multiprocessing_forked_leaves_when_it_ends(end: str) -> None:
    script = f"""
        import multiprocessing
        def work():
            pydoudou.new_node(settings=settings(plugin))
            print("works", flush=True)
            {end}
        worker = multiprocessing.get_context("fork").Process(target=work)
        worker.start()
        worker.join()
        print("done")
        """
    assert python(script) == ["works", "left", "done"]
