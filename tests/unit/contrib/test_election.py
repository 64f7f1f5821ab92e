"""Which of several processes registers a service, and what happens where no lock can be had."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pydoudou.contrib.servers.election import Election


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the locks are, in a folder that stands for that of the session."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    return tmp_path / "pydoudou"


def test_one_of_two_is_elected_until_it_resigns(directory: Path) -> None:
    one, other = Election("orders", 80), Election("orders", 80)
    assert (one.problem(), one.problem()) == ("", "")
    assert other.problem() == f"process {os.getpid()} of this machine registers orders, port 80"
    one.resign()
    assert other.problem() == ""
    other.resign()
    assert directory.stat().st_mode & 0o777 == 0o700


def test_other_services_and_ports_are_elections_of_their_own() -> None:
    elections = [Election("orders", 80), Election("orders", 81), Election("users", 80)]
    assert [each.problem() for each in elections] == ["", "", ""]
    for each in elections:
        each.resign()


def test_a_child_that_dies_gives_the_lock_back() -> None:
    dies = (
        "import os; from pydoudou.contrib.servers.election import Election\n"
        "election = Election('orders', 80); print(election.problem(), flush=True); os.kill(os.getpid(), 9)"
    )
    child = subprocess.run([sys.executable, "-c", dies], capture_output=True, text=True, timeout=20, check=False)
    assert (child.stdout, child.returncode) == ("\n", -signal.SIGKILL)
    election = Election("orders", 80)
    assert election.problem() == ""
    election.resign()


@pytest.mark.parametrize("how", ["a link", "open to others", "a file"])
def test_a_directory_that_is_not_ours_alone_is_not_used(
    how: str, directory: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    if how == "a link":
        (tmp_path / "elsewhere").mkdir(mode=0o700)
        directory.symlink_to(tmp_path / "elsewhere")
    elif how == "a file":
        directory.touch(mode=0o700)
    else:
        directory.mkdir()
        directory.chmod(0o777)
    with caplog.at_level(logging.WARNING):
        assert Election("orders", 80).problem() == ""
        assert Election("orders", 80).problem() == ""
    assert all("each worker registers itself" in message for message in caplog.messages)
    assert len(caplog.messages) == 2
    assert [*tmp_path.rglob("*.lock")] == []
