"""Where the processes of a host that share a node find each other: a lock and a socket with a name of their own.

The lock is that of a file, which the kernel gives back when the last process that has it open ends, however it ends:
the registrar inherits it from the worker that started it, and holds it for as long as it lives. Both stand in a
directory that is ours alone: owned by us, mode 0700, no link.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import socket
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import attrs

__all__ = ["Held", "Place"]

_OURS_ALONE = 0o700
_LONGEST_NOTE = 200
_HOLDER = re.compile("process ([0-9]{1,9}) of this machine, the registrar of ")
_BACKLOG = 128


@attrs.frozen
class Held:
    """What a registrar holds: both are closed with `close`, or with the last process that has them.

    Attributes:
        lock: the descriptor of the locked file.
        listener: the socket that workers connect to.
        place: the path of both, without what tells them apart.
    """

    lock: int
    listener: socket.socket
    place: Path

    def close(self) -> None:
        """Let go of both in this process."""
        self.listener.close()
        os.close(self.lock)


class Place:
    """The lock and the socket of one service and port, or of clients with the same settings.

    Args:
        service, port: what is registered; "" and 0 for clients alone.
        settings: tells clients with other settings apart; "" for those who register, of whom there is one.

    Raises:
        OSError: there is no directory that is ours alone.
    """

    def __init__(self, service: str, port: int, settings: str = "") -> None:
        what = f"{_network_namespace()} {service} {port} {settings}".strip()
        key = hashlib.sha256(what.encode()).hexdigest()[:32]
        directory = _directory()
        self.lock = directory / f"{key}.lock"
        self.socket = directory / f"{key}.sock"

    def connect(self) -> socket.socket | None:
        """A connection to whoever listens there; None if nobody does.

        Raises:
            OSError: it could not be tried.
        """
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            with _short(self.socket) as path:
                connection.connect(path)
        except (FileNotFoundError, ConnectionRefusedError):
            connection.close()
            return None
        except BaseException:
            connection.close()
            raise
        return connection

    def hold(self) -> Held | None:
        """The lock, and a socket that takes connections from now on; None if somebody else has the lock, or has just
        let go of it.

        Raises:
            OSError: the file or the socket cannot be made.
        """
        lock = os.open(self.lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not self._is_the_file_of(lock):
                raise BlockingIOError
        except BlockingIOError:
            os.close(lock)
            return None
        except BaseException:
            os.close(lock)
            raise
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self.socket.unlink(missing_ok=True)  # left behind by one that was killed; nobody else may make another
            with _short(self.socket) as path:
                listener.bind(path)
            listener.listen(_BACKLOG)
        except BaseException:
            listener.close()
            os.close(lock)
            raise
        return Held(lock, listener, self.lock.with_suffix(""))

    def _is_the_file_of(self, lock: int) -> bool:
        """Whether the file was not removed while we waited for its lock, by a registrar that ended."""
        try:
            return os.path.samestat(self.lock.stat(), os.fstat(lock))
        except FileNotFoundError:
            return False

    @staticmethod
    def note_holder(lock: int, text: str) -> None:
        """Say in the file who holds the lock. That it cannot be written, because the disk is full, changes nothing."""
        with contextlib.suppress(OSError):
            os.ftruncate(lock, 0)
            os.pwrite(lock, text.encode(errors="replace")[:_LONGEST_NOTE], 0)

    def holder(self) -> str:
        """What it says in the file; "another process" if that is nothing."""
        try:
            text = self.lock.read_bytes()[:_LONGEST_NOTE].decode(errors="replace").strip()
        except OSError:
            text = ""
        return text or "another process"

    def holder_pid(self) -> int | None:
        """The process that it says there, if it was written by a registrar."""
        found = _HOLDER.match(self.holder())
        return int(found[1]) if found else None


@contextlib.contextmanager
def _short(path: Path) -> Iterator[str]:
    """Another name for a socket: the kernel takes no longer ones than 107 bytes, and directories may be longer."""
    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{directory}/{path.name}"
    finally:
        os.close(directory)


def _directory() -> Path:
    """Raises `OSError` if there is none that is ours alone."""
    given, ours = os.environ.get("XDG_RUNTIME_DIR", ""), os.geteuid()
    directory = Path(given) / "pydoudou" if _owner(given) == ours else Path(tempfile.gettempdir()) / f"pydoudou-{ours}"
    with contextlib.suppress(FileExistsError):
        directory.mkdir(mode=_OURS_ALONE)
    found = directory.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != ours or stat.S_IMODE(found.st_mode) & 0o077:
        raise PermissionError(f"{directory} is not a directory of mode 0700 that belongs to us")
    return directory


def _owner(directory: str) -> int | None:
    """Its user; None if there is no such directory, or we may not look. A server that gives up the rights of root has
    the variables of root's session still.
    """
    try:
        found = Path(directory).stat()
    except OSError:
        return None
    return found.st_uid if directory and stat.S_ISDIR(found.st_mode) else None


def _network_namespace() -> str:
    """The same port of another container is another one."""
    try:
        return str(Path("/proc/self/ns/net").readlink())
    except OSError:
        return ""
