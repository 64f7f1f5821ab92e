"""Prints what the simulations measured, at the end of the run: tests record it as the property `measured`."""

from __future__ import annotations

from typing import Any


def pytest_terminal_summary(terminalreporter: Any) -> None:
    lines = [
        value
        for report in terminalreporter.stats.get("passed", ())
        for name, value in report.user_properties
        if name == "measured"
    ]
    if lines:
        terminalreporter.section("simulation: measured next to what the papers say")
        for line in lines:
            terminalreporter.line(line)
