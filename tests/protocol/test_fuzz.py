"""A short run of the fuzzer, the same each time; `make fuzz` feeds two million inputs from a new seed."""

from __future__ import annotations

from protocol.fuzz import Fuzzer


def test_thirty_thousand_broken_inputs_do_no_harm() -> None:
    report = Fuzzer(seed=1).run(inputs=30_000, seconds=30.0)
    assert report.failures == []
    assert report.inputs > 3_000
    assert {"Problem", "UserMessage", "NodeJoined", "NodeLeft", "RemoteState"} <= set(report.reached)
