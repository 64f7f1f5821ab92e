"""What the kernel tells of other processes: who is at the other end of a socket, and whose children they are (Linux).

A process number may be given again to another process; with the time of its start it means one process for ever.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import struct
import time
from pathlib import Path

import attrs

__all__ = ["Process", "ended", "kill_holder", "peer", "ran_for", "younger_siblings"]

_CREDENTIALS = struct.Struct("iII")


@attrs.frozen
class Process:
    """One process of this machine.

    Attributes:
        began: when, in the kernel's ticks since its own start.
        parent: the number of its parent when it was looked at.
        program: the file that it executes; "" if that is not known.
        stopped: whether it was stopped by a signal.
    """

    pid: int
    began: int
    parent: int
    program: str = ""
    stopped: bool = attrs.field(default=False, eq=False)

    @classmethod
    def of(cls, pid: int) -> Process | None:
        """It as it is now; None if it has ended, or cannot be looked at."""
        try:
            # The name of the program comes first, in brackets, and may hold anything.
            fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
            if fields[0] in (b"Z", b"X"):
                return None
            parent, began = int(fields[1]), int(fields[19])
        except (OSError, IndexError, ValueError):
            return None
        program = ""
        with contextlib.suppress(OSError):
            program = str(Path(f"/proc/{pid}/exe").readlink())
        return cls(pid, began, parent, program, fields[0] == b"T")

    @property
    def lives(self) -> bool:
        """Whether it has not ended."""
        now = Process.of(self.pid)
        return now is not None and now.began == self.began


def peer(connection: socket.socket) -> int:
    """The number of the process at the other end of a Unix socket, which belongs to the same user.

    Raises:
        PermissionError: it belongs to another user.
        OSError: the system does not tell.
    """
    option = getattr(socket, "SO_PEERCRED", None)
    if option is None:
        raise OSError("this system does not tell who is at the other end of a socket")
    pid, user, _ = _CREDENTIALS.unpack(connection.getsockopt(socket.SOL_SOCKET, option, _CREDENTIALS.size))
    if user != os.geteuid():
        raise PermissionError(f"process {pid} at the other end of the socket belongs to user {user}")
    return int(pid)


def ran_for(pid: int) -> float | None:
    """Seconds for which a process has run on any processor so far; None where the system does not tell."""
    try:
        return time.clock_gettime((~pid << 3) | 2)  # the kernel's name for the clock of another process
    except (OSError, OverflowError):
        return None


def ended(pid: int) -> int | None:
    """A descriptor that becomes readable when the process ends; None if there is no such process, or no such thing."""
    try:
        return os.pidfd_open(pid)
    except (OSError, AttributeError):
        return None


def kill_holder(pid: int, lock: Path) -> bool:
    """Kill a process if it has this file open, so that it is who we take it for; whether it had, and was killed."""
    descriptor = ended(pid)
    if descriptor is None:
        return False
    try:
        # From here on the number means this process alone.
        if not _has_open(pid, lock):
            return False
        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


def _has_open(pid: int, file: Path) -> bool:
    wanted = file.stat()
    for each in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            if os.path.samestat(each.stat(), wanted):
                return True
    return False


def younger_siblings(process: Process, age: float) -> list[Process]:
    """Children of the same parent that are younger and execute the same program: those that a server has started in the
    place of `process`. Who began in the same hundredth of a second is not younger: multiprocessing has a child of its
    own beside those that it is asked for.

    Args:
        age: in seconds; who is older would have come, and is something else.
    """
    found: list[Process] = []
    oldest = (time.clock_gettime(time.CLOCK_BOOTTIME) - age) * os.sysconf("SC_CLK_TCK")
    parent = Process.of(process.parent)
    if parent is None or parent.began > process.began:
        return found
    for children in Path(f"/proc/{parent.pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            numbers = [int(number) for number in children.read_text().split()]
            candidates = [Process.of(number) for number in numbers if number != os.getpid()]
            found += [
                each
                for each in candidates
                if each is not None and each.began > max(process.began, oldest) and each.program == process.program
            ]
    return found
