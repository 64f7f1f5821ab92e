"""`pydoudou simulate` as its users see it: a process, on a terminal and in a pipe."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time

import pytest
from support.server_processes import process_of

SIMULATE = [sys.executable, "-m", "pydoudou", "simulate"]
SHORT = ["--seconds", "3", "--rate", "100", "--members", "4"]
ENDLESS = ["--seconds", "9000", "--rate", "1000", "--fault", "slow"]
TERMINAL = {**os.environ, "TERM": "xterm", "COLUMNS": "140", "LINES": "40"}


def simulate(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*SIMULATE, *options], capture_output=True, text=True, timeout=50, check=False)


def on_a_terminal(*options: str) -> str:
    """All that a terminal is sent, its own language included."""
    mine, theirs = os.openpty()
    with process_of([*SIMULATE, *options], stdout=theirs, stderr=theirs, stdin=theirs, env=TERMINAL) as process:
        os.close(theirs)
        shown = read_all(mine)
        assert process.wait(20) == 0, shown
    return shown.decode()


def read_all(terminal: int) -> bytes:
    """What a terminal is sent until nobody has it open any more; closes it."""
    shown = b""
    with contextlib.suppress(OSError):  # so Linux says that the other end is closed
        while more := os.read(terminal, 65536):
            shown += more
    os.close(terminal)
    return shown


def test_each_row_is_a_json_object_on_a_line_of_its_own() -> None:
    done = simulate(*SHORT, "--json", "--fault", "slow", "--fault", "none")
    assert (done.returncode, done.stderr) == (0, "")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert {"RoundRobin", "WeightedRandom", "SmoothWeighted"} <= {row["balancer"] for row in rows}
    assert [row["fault"] for row in rows] == sorted((row["fault"] for row in rows), reverse=True)
    for row in rows:
        assert {"fault", "balancer", "calls", "error_share", "p99_ratio", "share_ratio"} <= row.keys()
    assert all(row["p99_ratio"] == 1.0 and row["error_share"] == 0.0 for row in rows if row["fault"] == "none")


def test_every_fault_is_simulated_when_none_is_named() -> None:
    done = simulate(*SHORT, "--json", "--balancer", "RoundRobin")
    faults = [json.loads(line)["fault"] for line in done.stdout.splitlines()]
    assert faults == ["slow", "cold", "refusing", "silent", "two", "busy", "random"]


def test_the_same_seed_gives_the_same_figures_whatever_the_order_of_sets() -> None:
    runs = [
        subprocess.run(
            [*SIMULATE, *SHORT, "--json", "--seed", seed],
            env={**os.environ, "PYTHONHASHSEED": hashes},
            capture_output=True,
            text=True,
            timeout=50,
            check=True,
        ).stdout
        for seed, hashes in (("7", "1"), ("7", "2"), ("8", "1"))
    ]
    assert runs[0] == runs[1] != runs[2]


def test_in_a_pipe_rows_are_plain_lines() -> None:
    done = simulate(*SHORT, "--balancer", "RoundRobin", "--balancer", "WeightedRandom", "--fault", "refusing")
    assert (done.returncode, done.stderr) == (0, "")
    heading, *rows = done.stdout.splitlines()
    assert heading.split()[:4] == ["fault", "balancer", "calls", "errors"]
    assert [row.split()[:2] for row in rows] == [["refusing", "RoundRobin"], ["refusing", "WeightedRandom"]]
    assert done.stdout.isascii()


def test_a_terminal_shows_progress_and_then_a_table() -> None:
    shown = on_a_terminal(*SHORT, "--fault", "slow")
    assert "simulating" in shown
    assert "RoundRobin" in shown
    assert "│" in shown


def test_json_on_a_terminal_is_json() -> None:
    lines = on_a_terminal(*SHORT, "--fault", "slow", "--json").splitlines()
    assert {json.loads(line)["fault"] for line in lines} == {"slow"}


def test_a_policy_changes_what_happens() -> None:
    once, thrice = (
        json.loads(simulate(*SHORT, "--json", "--fault", "refusing", "--balancer", "RoundRobin", *policy).stdout)
        for policy in (["--policy", "attempts=1,attempt_timeout=0.5"], ["--policy", "attempts=3"])
    )
    assert once["error_share"] > 0.01 > thrice["error_share"]


def test_a_policy_with_a_deadline_has_no_other_time_than_that() -> None:
    done = simulate(*SHORT, "--json", "--fault", "silent", "--balancer", "RoundRobin", "--policy", "deadline=1")
    row = json.loads(done.stdout)
    assert row["p99_seconds"] == 1.0
    assert row["attempts_per_call"] == 1.0


@pytest.mark.parametrize(
    ("options", "named"),
    [
        pytest.param(["--fault", "bored"], ["'bored'", "'slow'", "'silent'"], id="an unknown fault"),
        pytest.param(["--balancer", "Sticky"], ["'Sticky'", "'RoundRobin'"], id="an unknown balancer"),
        pytest.param(["--policy", "attempts=0"], ["attempts is 0", "a whole number from 1"], id="no attempts"),
        pytest.param(["--policy", "attempts=two"], ["attempts is 'two'", "a whole number from 1"], id="not a number"),
        pytest.param(["--policy", "deadline=-1"], ["deadline is -1", "seconds greater than 0"], id="a time below 0"),
        pytest.param(["--policy", "patience=2"], ["'patience'", "attempts, deadline"], id="an unknown argument"),
        pytest.param(["--policy", "attempts"], ["'attempts'", "NAME=VALUE"], id="no value"),
        pytest.param(["--policy", "attempts.most=2"], ["'attempts.most'"], id="a part of a number"),
        pytest.param(
            ["--policy", "deadline=0.1,attempt_timeout=0.5"], ["deadline is 0.1", "attempt_timeout"], id="contradiction"
        ),
        pytest.param(["--members", "1"], ["members is 1", "from 2"], id="one member"),
        pytest.param(["--rate", "0"], ["rate is 0", "greater than 0"], id="no calls"),
        pytest.param(["--rate", "nan"], ["rate is nan", "greater than 0"], id="a rate that is no number"),
        pytest.param(["--seconds", "inf"], ["seconds is inf", "greater than 0"], id="for ever"),
        pytest.param(["--seconds", "1e9"], ["1e+09", "at most"], id="too many calls"),
    ],
)
def test_bad_input_is_one_error_that_says_what_is_accepted(options: list[str], named: list[str]) -> None:
    done = simulate(*options)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    (error,) = [line for line in done.stderr.splitlines() if line.startswith("Error")]
    for part in named:
        assert part in error


@pytest.mark.parametrize("options", [["--json"], []], ids=["json", "lines"])
def test_ctrl_c_ends_it_within_a_second_and_without_a_traceback(options: list[str]) -> None:
    mine, theirs = os.openpty()
    command = [*SIMULATE, *ENDLESS, *options]
    with process_of(command, stdout=subprocess.PIPE, stderr=theirs, env=TERMINAL) as process:
        os.close(theirs)
        shown = b""
        while b"simulating" not in shown:
            shown += os.read(mine, 65536)
        process.send_signal(signal.SIGINT)
        began = time.monotonic()
        shown += read_all(mine)
        assert process.wait(20) == 1
        assert time.monotonic() - began < 1.0
        assert process.stdout is not None
        assert "{" not in process.stdout.read()
    assert b"Traceback" not in shown
    assert b"Aborted!" in shown
