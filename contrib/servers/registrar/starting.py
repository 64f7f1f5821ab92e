"""How a worker comes to a registrar: it connects to the one that runs, or starts one if it gets the lock.

Started is started by exec, not by fork, in a session of its own: a signal for the whole group of the server begins the
drain, through the workers, and does not end the registrar. Of all that is open it inherits the lock and the socket
alone; so connections are taken, and wait, before it has begun.
"""

from __future__ import annotations

import logging
import subprocess
import sys
import time

import anyio
import attrs
from anyio import to_thread

from ....discovery.settings import Settings
from .frames import Message, frame
from .guard import kill_stopped
from .messages import hello
from .place import Held, Place
from .processes import peer
from .settings import Start, fingerprint, pack
from .timings import Timings
from .wire import BrokenWire, Wire

__all__ = ["CannotShare", "Found", "find", "greet", "place_of"]

logger = logging.getLogger(__name__)

_FIND_WITHIN = 15.0
"""Seconds for a registrar to start, or for one that takes its leave to be gone."""
_ANSWERS_WITHIN = 15.0
_START_WITHIN = 10.0
_LOOK_AGAIN_AFTER = 0.05
_MOST_STARTS = 2


class CannotShare(Exception):
    """This process cannot share a node with others; the text says why."""


@attrs.frozen
class Found:
    """A registrar that has said hello.

    Attributes:
        pid: its process.
    """

    wire: Wire
    pid: int


def place_of(settings: Settings) -> Place:
    """Where those who have these settings meet.

    Raises:
        OSError: there is no directory that is ours alone.
    """
    return Place(settings.service_name, settings.port) if settings.register else Place("", 0, fingerprint(settings))


async def find(settings: Settings, serves: bool, timings: Timings, successor: bytes = b"") -> Found:
    """The registrar of these settings, started if there is none. One that is stopped is killed, and replaced.

    Args:
        serves: whether this process answers calls, and is not a client alone.
        successor: how to start it, as one that was there and is gone has said; else it begins anew.

    Raises:
        CannotShare: there is none, and none can be had.
    """
    ours, deadline, starts = fingerprint(settings), time.monotonic() + _FIND_WITHIN, 0
    broken = "nobody answers"
    try:
        anew = pack(Start(settings, ours))
        place = place_of(settings)
        while True:
            if (connection := place.connect()) is not None:
                wire = Wire(connection)
                try:
                    return await greet(wire, ours, serves, place, timings)
                except BrokenWire as ended:
                    wire.close()
                    broken = str(ended)
                except CannotShare:
                    wire.close()
                    if not successor:
                        raise
                    successor = b""  # its port may be taken by now; one that begins anew takes another
                except BaseException:
                    wire.close()
                    raise
            elif (held := place.hold()) is not None:
                if (starts := starts + 1) > _MOST_STARTS:
                    held.close()
                    raise CannotShare("the registrar ends as soon as it is started: its own output says why")
                try:
                    await _start(held, place, successor or anew)
                except OSError:
                    if not successor:
                        raise
                    successor = b""  # another version of this library may have told us
                continue
            if time.monotonic() >= deadline:
                raise CannotShare(f"{place.holder()} has the lock {place.lock}, and does not answer: {broken}")
            await anyio.sleep(_LOOK_AGAIN_AFTER)
    except (OSError, ValueError) as error:
        raise CannotShare(str(error)) from error


async def greet(
    wire: Wire, ours: str, serves: bool, place: Place | None = None, timings: Timings | None = None
) -> Found:
    """Say hello to a registrar.

    Args:
        place: the registrar's, which is killed if it does not answer because it is stopped; None for one that is not.

    Raises:
        BrokenWire: it is not there any more.
        CannotShare: it will not have us.
    """
    peer(wire.socket)
    await wire.send_now(frame(hello(ours, serves)))
    said: Message | None = None
    until = time.monotonic() + _ANSWERS_WITHIN
    while said is None and time.monotonic() < until:
        with anyio.move_on_after(_ANSWERS_WITHIN if timings is None else timings.stopped_for):
            said = await wire.receive()
        if said is None and place is not None and kill_stopped(place):
            raise BrokenWire("it was stopped")
    if said is None:
        raise CannotShare(f"the registrar does not answer within {_ANSWERS_WITHIN:g} s")
    if said["kind"] != "hello" or said.get("again"):
        raise BrokenWire(str(said.get("refused", "it says something else")))
    if said.get("refused"):
        raise CannotShare(str(said["refused"]))
    return Found(wire, int(said["pid"]))


async def _start(held: Held, place: Place, packed: bytes) -> None:
    """Hand what is held to a registrar, which answers when it has started."""
    try:
        await to_thread.run_sync(_run, held, packed)
        logger.info("started the registrar at %s", place.socket)
    except BaseException:
        place.socket.unlink(missing_ok=True)
        raise
    finally:
        held.close()


def _run(held: Held, packed: bytes) -> None:
    """The process that is started leaves the registrar behind, and ends at once: nobody has to wait for the registrar's
    own end, neither this process nor one that starts in its place.
    """
    keep = (held.lock, held.listener.fileno())
    command = [sys.executable, "-m", __package__, *map(str, keep), str(held.place)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, pass_fds=keep, start_new_session=True
    ) as process:
        try:
            process.communicate(packed, timeout=_START_WITHIN)
        except subprocess.TimeoutExpired as error:
            process.kill()
            raise OSError(f"{' '.join(command)} did not start within {_START_WITHIN:g} s") from error
        except BaseException:
            process.kill()
            raise
    if process.returncode:
        raise OSError(f"{' '.join(command)} ended with {process.returncode}; its own output says why")
