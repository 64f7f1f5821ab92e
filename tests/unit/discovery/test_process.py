"""What only a process of its own can show: its exit and its fork."""

from __future__ import annotations

import os
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
    def create(self, settings):
        driver = super().create(settings)
        leave = driver.leave
        async def told():
            await leave()
            print("left", flush=True)
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
