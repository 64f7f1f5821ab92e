"""Where workers of one host meet: the directory, the lock, the socket, and who is at its other end."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pydoudou.contrib.servers.registrar.place import Place
from pydoudou.contrib.servers.registrar.processes import Process, peer, younger_siblings

SLEEPS = [sys.executable, "-c", "import sys; sys.stdin.read()"]


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the locks are, in a folder that stands for that of the session."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    return tmp_path / "pydoudou"


def test_one_of_two_holds_the_place_until_it_lets_go(directory: Path) -> None:
    one, other = Place("orders", 80), Place("orders", 80)
    assert other.connect() is None
    held = one.hold()
    assert held is not None
    assert other.hold() is None
    connection = other.connect()
    assert connection is not None
    connection.close()
    held.close()
    again = other.hold()
    assert again is not None
    again.close()
    assert directory.stat().st_mode & 0o777 == 0o700


def test_other_services_ports_and_settings_are_places_of_their_own() -> None:
    places = [Place("orders", 80), Place("orders", 81), Place("users", 80), Place("", 0, "a"), Place("", 0, "b")]
    held = [place.hold() for place in places]
    for each in held:
        assert each is not None
        each.close()


def test_who_holds_it_is_written_down() -> None:
    place = Place("orders", 80)
    assert place.holder() == "another process"
    held = place.hold()
    assert held is not None
    place.note_holder(held.lock, "process 7, the registrar of orders, port 80")
    assert Place("orders", 80).holder() == "process 7, the registrar of orders, port 80"
    held.close()


def test_a_process_that_dies_gives_the_place_back_and_its_socket_is_in_nobodys_way() -> None:
    dies = (
        "import os; from pydoudou.contrib.servers.registrar.place import Place\n"
        "held = Place('orders', 80).hold(); print(held is not None, flush=True); os.kill(os.getpid(), 9)"
    )
    child = subprocess.run([sys.executable, "-c", dies], capture_output=True, text=True, timeout=20, check=False)
    assert (child.stdout, child.returncode) == ("True\n", -signal.SIGKILL)
    place = Place("orders", 80)
    assert place.socket.exists()
    assert place.connect() is None
    held = place.hold()
    assert held is not None
    held.close()


def test_a_lock_whose_file_was_removed_meanwhile_is_none() -> None:
    place = Place("orders", 80)
    first = place.hold()
    assert first is not None
    place.lock.unlink()  # as a registrar does that ends
    second = place.hold()
    assert second is not None
    assert Place("orders", 80).hold() is None
    first.close()
    assert Place("orders", 80).hold() is None
    second.close()


@pytest.mark.parametrize("how", ["a link", "open to others", "a file"])
def test_a_directory_that_is_not_ours_alone_is_not_used(how: str, directory: Path, tmp_path: Path) -> None:
    if how == "a link":
        (tmp_path / "elsewhere").mkdir(mode=0o700)
        directory.symlink_to(tmp_path / "elsewhere")
    elif how == "a file":
        directory.touch(mode=0o700)
    else:
        directory.mkdir()
        directory.chmod(0o777)
    with pytest.raises(PermissionError, match="mode 0700"):
        Place("orders", 80)
    assert [*tmp_path.rglob("*.lock")] == []


def test_without_a_directory_of_the_session_there_is_one_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    assert Place("orders", 80).lock.parent.name == f"pydoudou-{os.getuid()}"


def test_a_link_in_place_of_the_lock_is_not_followed(tmp_path: Path) -> None:
    place = Place("orders", 80)
    place.lock.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic link"):
        place.hold()
    assert not (tmp_path / "elsewhere").exists()


def test_who_is_at_the_other_end_is_known() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert peer(ours) == os.getpid()


@pytest.mark.skipif(os.geteuid() != 0, reason="takes another user's place: run the tests as root for it")
def test_another_user_at_the_other_end_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    for each in tmp_path.parents:
        if each.owner() == "root" and each != Path("/tmp"):
            each.chmod(each.stat().st_mode | 0o011)
    path = tmp_path / "open.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        path.chmod(0o777)
        listener.listen()
        connects = (
            "import socket, os; os.setuid(65534); s = socket.socket(socket.AF_UNIX)\n"
            f"s.connect({str(path)!r}); s.recv(1)"
        )
        with subprocess.Popen([sys.executable, "-c", connects]):
            connection, _ = listener.accept()
            with connection, pytest.raises(PermissionError, match="user 65534"):
                peer(connection)


def test_a_process_is_known_by_its_number_and_its_start() -> None:
    with subprocess.Popen(SLEEPS, stdin=subprocess.PIPE) as child:
        process = Process.of(child.pid)
        assert process is not None
        assert (process.pid, process.parent) == (child.pid, os.getpid())
        assert process.lives
        child.communicate(b"")
    assert not process.lives
    assert Process.of(child.pid) is None


def test_a_process_that_the_same_parent_starts_later_is_a_younger_sibling() -> None:
    with contextlib.ExitStack() as stack:

        def started(command: list[str]) -> Process:
            child = stack.enter_context(subprocess.Popen(command, stdin=subprocess.PIPE))
            assert child.stdin is not None
            stack.callback(child.stdin.close)
            process = Process.of(child.pid)
            assert process is not None
            return process

        older, *_ = (started(SLEEPS), time.sleep(0.05))  # the kernel counts in hundredths
        younger, other = started(SLEEPS), started(["cat"])
        assert younger.program == older.program
        assert [each.pid for each in younger_siblings(older, 60)] == [younger.pid]
        assert other.program != younger.program
        assert younger_siblings(younger, 60) == []
        assert younger_siblings(older, 0) == []
