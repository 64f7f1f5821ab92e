"""Which of several processes that serve the same port registers it: the one that holds a lock.

The lock is that of a file, which the kernel gives back when its process ends, however it ends; another process takes it
then. The files stand in a directory that is ours alone: owned by us, mode 0700, no link.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import logging
import os
import stat
import tempfile
from pathlib import Path

__all__ = ["Election"]

logger = logging.getLogger(__name__)

_OURS_ALONE = 0o700
_LONGEST_NUMBER = 20


class Election:
    """One candidate. Where no lock can be had because nothing is writable, everybody is elected, which is said.

    Args:
        service, port: what is registered.
    """

    def __init__(self, service: str, port: int) -> None:
        self._what = f"{service}, port {port}"
        self._key = hashlib.sha256(f"{_network_namespace()} {service} {port}".encode()).hexdigest()[:32]
        self._file: int | None = None
        self._anybody = False

    def problem(self) -> str:
        """Stand for it; "" if this process is elected, and remains so until `resign`."""
        if self._file is not None or self._anybody:
            return ""
        try:
            opened = os.open(_directory() / f"{self._key}.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            self._anybody = True
            logger.warning("each worker registers itself, for no lock can be made: %s", error)
            return ""
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.pread(opened, _LONGEST_NUMBER, 0).decode(errors="replace").strip() or "another one"
            os.close(opened)
            return f"process {holder} of this machine registers {self._what}"
        os.pwrite(opened, f"{os.getpid():<{_LONGEST_NUMBER}}".encode(), 0)
        self._file = opened
        return ""

    def resign(self) -> None:
        """Let another one take it."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


def _directory() -> Path:
    """Raises `OSError` if there is none that is ours alone."""
    given = Path(os.environ.get("XDG_RUNTIME_DIR") or "/nowhere")
    directory = given / "pydoudou" if given.is_dir() else Path(tempfile.gettempdir()) / f"pydoudou-{os.getuid()}"
    with contextlib.suppress(FileExistsError):
        directory.mkdir(mode=_OURS_ALONE)
    found = directory.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) & 0o077:
        raise PermissionError(f"{directory} is not a directory of mode 0700 that belongs to us")
    return directory


def _network_namespace() -> str:
    """The same port of another container is another one."""
    try:
        return str(Path("/proc/self/ns/net").readlink())
    except OSError:
        return ""
