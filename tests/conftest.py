"""What holds for every test, and the servers that tests share."""

from __future__ import annotations

import contextlib
import random
import signal
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from support import nacos_server
from support.figures import print_figures
from support.nacos_server import NacosServer

ROOT = Path(__file__).parents[1]
INTEROP = ROOT / "tests" / "interop"

# How long hypothesis takes to draw inputs says something about the machine: on a clean clone the first text drawn
# builds its character tables. Hypothesis leaves both checks out by itself where CI is set; tests that are about time
# measure it themselves.
settings.register_profile("any machine", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where several processes share the tests, begin with those that wait for real peers.

    Some of their files take minutes: begun last, one would keep a single process busy at the end.
    """
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: INTEROP not in item.path.parents)


class RootIsAFolder:
    """A plugin, because this file, which stands below the root, is not asked about the root."""

    @pytest.hookimpl
    def pytest_collect_directory(self, path: Path, parent: pytest.Collector) -> pytest.Collector | None:
        """Take the root for a plain folder. As a package it would be imported once more, by the name of its folder:
        in vain where that has a hyphen.
        """
        return pytest.Dir.from_parent(parent, path=path) if path == ROOT else None


def pytest_configure(config: pytest.Config) -> None:
    """Shuffle the tests, but leave the global generator alone; and let Ctrl-C end what tests start.

    Given as an option the first would be an error where the plugin is left out (``-p no:randomly``).
    """
    config.option.randomly_reset_seed = False
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # A shell has what it runs in the background ignore Ctrl-C, and so would every process that a test starts.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    config.pluginmanager.register(RootIsAFolder())


def pytest_collection_finish() -> None:
    """Undo the plugin's seed, the same in all processes that share the tests: they would draw the same ports."""
    random.seed()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print what the tests recorded, and last how to have them in the same order again."""
    print_figures(terminalreporter)
    seed = config.getoption("randomly_seed", None)
    if seed is not None:
        terminalreporter.line(f"the order of this run again: --randomly-seed={seed}")


@pytest.fixture(scope="session")
def nacos(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NacosServer]:
    """One server for the whole run, started when the first test wants it. Leave it running; use `fresh_service`."""
    with NacosServer(tmp_path_factory.mktemp("nacos") / "home") as server:
        yield server


@pytest.fixture
def start_nacos(tmp_path: Path) -> Iterator[Callable[..., NacosServer]]:
    """Starts servers of the test's own, to be killed; takes the keyword arguments of `NacosServer`."""
    with contextlib.ExitStack() as stack:

        def start(**options: Any) -> NacosServer:
            number = len(list(tmp_path.glob("nacos-*")))
            return stack.enter_context(NacosServer(tmp_path / f"nacos-{number}", **options))

        yield start


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Shows what the servers printed when a test fails."""
    report = yield
    if report.failed:
        for server in nacos_server.running():
            report.sections.append((f"the Nacos server {server.address}, in {server.home}", server.log_tail()))
    return report
