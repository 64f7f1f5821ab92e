"""The command behind `make wordcloud`: one upload in every mode, the table at a terminal, and what it refuses."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest
from support.effort import EFFORT
from support.nacos import nacos_variables
from support.wordcloud import RUN, skip_without

skip_without()

pytestmark = pytest.mark.timeout(240)

TEXT = b"Gossip spreads news. Gossip finds members, members hear gossip; every member hears news from members.\n"
SERVICES = {f"wordcloud-{name}": 1 for name in ("bff", "usersvc", "tasksvc", "segsvc", "makersvc")}


@pytest.mark.parametrize("discovery", ["memberlist", "nacos", "memberlist,nacos", "mono"])
def test_one_command_starts_everything_and_stops_it(
    discovery: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    file = tmp_path / "text.txt"
    file.write_bytes(TEXT)
    variables = {}
    if "nacos" in discovery:
        variables = nacos_variables(request.getfixturevalue("nacos").address)
    done = subprocess.run(
        [sys.executable, RUN, "--once", file, "--lang", "en", "--discovery", discovery, "--folder", tmp_path / "data"],
        capture_output=True,
        text=True,
        timeout=200,
        env={**os.environ, **variables},
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["status"] == 200
    assert told["image_bytes"] > 1000
    if discovery != "mono":
        assert told["services"] == SERVICES
    left = subprocess.run(["pgrep", "-f", str(tmp_path)], capture_output=True, text=True).stdout
    assert not left, f"processes are left: {left}"


@pytest.mark.skipif(EFFORT == 1, reason="one more start of the system: make long")
def test_a_file_that_becomes_no_picture_is_told_and_is_exit_code_1(tmp_path: Path) -> None:
    file = tmp_path / "text.txt"
    file.write_bytes(b"1 2 3")
    command = [sys.executable, RUN, "--once", file, "--discovery", "mono", "--folder", tmp_path / "data"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert done.returncode == 1, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert (told["status"], "no word" in told["error"], told["image_bytes"]) == (400, True, 0)


COLOURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """What a program shows to somebody who sits before it; `with` closes it."""

    def __init__(self) -> None:
        self._end, self.its_end = os.openpty()
        termios.tcsetwinsize(self.its_end, (60, 120))
        self.shown = ""

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *error: object) -> None:
        os.close(self._end)
        os.close(self.its_end)

    def until(self, expected: str, within: float = 60.0) -> re.Match[str]:
        """The place of it in what was shown, as soon as it was."""
        deadline = time.monotonic() + within
        while not (found := re.search(expected, COLOURS.sub("", self.shown))):
            readable, _, _ = select.select([self._end], [], [], max(0.0, deadline - time.monotonic()))
            assert readable, f"{expected!r} was not shown within {within:g} s: {self.shown[-3000:]}"
            self.shown += os.read(self._end, 65536).decode(errors="replace")
        return found


def test_the_table_is_shown_until_ctrl_c(tmp_path: Path) -> None:
    command = [sys.executable, RUN, "--folder", tmp_path]
    environment = {**os.environ, "TERM": "xterm"}
    with (
        Terminal() as terminal,
        subprocess.Popen(command, stdout=terminal.its_end, stderr=terminal.its_end, env=environment) as started,
    ):
        try:
            terminal.until(r"jackchen / 1234")
            terminal.until(r"as bff sees it")
            terminal.until(r"wordcloud-segsvc\W+1\b")
            seg = int(terminal.until(r"[^-]segsvc\W+(\d+) ")[1])
            assert Path(f"/proc/{seg}/cmdline").read_bytes().count(b"wordcloud_app.segsvc:app") == 1
            os.kill(seg, signal.SIGKILL)
            terminal.until(r"start 2")
        finally:
            started.send_signal(signal.SIGINT)
            terminal.until(r"stopping; the logs are in")
            assert started.wait(60) == 0
    left = subprocess.run(["pgrep", "-f", str(tmp_path)], capture_output=True, text=True).stdout
    assert not left, f"processes are left: {left}"


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--scale", "maker=0"], "accepted: maker=3"),
        (["--scale", "bff=2"], "accepted: maker=3"),
        (["--once", "no-such-file"], "does not exist"),
        (["--discovery", "etcd"], "accepted: memberlist"),
        (["--lang", "fr"], "'zh', 'en'"),
    ],
)
def test_what_the_command_cannot_do_is_told_before_anything_is_started(arguments: list[str], reason: str) -> None:
    done = subprocess.run([sys.executable, RUN, *arguments], capture_output=True, text=True, timeout=60)
    assert (done.returncode, reason in done.stderr) == (2, True), done.stderr
