"""The examples of the manual's page on Nacos run as they stand, against a real server."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.nacos import nacos_variables
from support.nacos_server import NacosServer, fresh_service
from support.waiting import eventually

import pydoudou

PAGE = (Path(__file__).parents[2] / "docs" / "nacos.md").read_text(encoding="utf-8")
PROGRAMS = re.findall(r"^```python\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)
(OUTPUT,) = re.findall(r"^```text\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)


@pytest.fixture
def service(nacos: NacosServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of a service for which the environment is set."""
    name = fresh_service()
    for variable, value in nacos_variables(nacos.address, name).items():
        monkeypatch.setenv(variable, value)
    before = signal.getsignal(signal.SIGTERM)
    yield name
    signal.signal(signal.SIGTERM, before)
    pydoudou.shutdown()


def run(program: str, **names: Any) -> None:
    exec(compile(program, "nacos.md", "exec"), names)


def test_the_page_has_two_programs() -> None:
    assert len(PROGRAMS) == 2


def test_the_first_program_prints_what_the_page_says(
    nacos: NacosServer, service: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run(PROGRAMS[0], serve_forever=lambda: None)
    assert capsys.readouterr().out == OUTPUT.replace("10.0.0.9:8848", nacos.address).replace("orders", service)


def test_the_second_program_leaves_before_it_stops_serving(
    nacos: NacosServer, service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def listed() -> int:
        return sum(len(nacos.api.instances(service + suffix)) for suffix in ("", "_rest"))

    def serve_forever() -> None:
        eventually(lambda: listed() == 2)
        signal.raise_signal(signal.SIGTERM)

    stopped: list[str] = []

    def stop_serving() -> None:
        eventually(lambda: listed() == 0)
        stopped.append(service)

    sleep = time.sleep
    monkeypatch.setattr(time, "sleep", lambda seconds: sleep(min(seconds, 0.01)))
    with pytest.raises(SystemExit):
        run(PROGRAMS[1], serve_forever=serve_forever, stop_serving=stop_serving)
    assert stopped == [service]
