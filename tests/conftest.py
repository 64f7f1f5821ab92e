"""What holds for every test, and the servers that tests share."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from support import nacos_server
from support.figures import pytest_terminal_summary as pytest_terminal_summary
from support.nacos_server import NacosServer

# How long hypothesis takes to draw inputs says something about the machine: on a clean clone the first text drawn
# builds its character tables. Hypothesis leaves both checks out by itself where CI is set; tests that are about time
# measure it themselves.
settings.register_profile("any machine", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


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
