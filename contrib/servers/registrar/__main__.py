"""The registrar: ``python -m pydoudou.contrib.servers.registrar LOCK LISTENER PLACE``, settings at its standard input.

Workers start it (`starting`); nobody else has a reason to.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import sys
from functools import partial
from pathlib import Path

import anyio
import attrs
from anyio import to_thread

from ....discovery.registry import Registry
from ....drivers.errors import DiscoveryError
from ....drivers.kit import own_load
from ....drivers.kit.log_fields import fields
from .frames import frame
from .hub import AT_REST, Hub
from .listening import Listening
from .loads import WorkersLoad
from .messages import registrar_hello
from .place import Held, Place
from .settings import Start, unpack
from .wire import BrokenWire, Wire

__all__ = ["main"]

logger = logging.getLogger(__name__)

_REFUSE_FOR = 2.0
_HELLO_WITHIN = 1.0


def main() -> None:
    """Serve the workers of this host until the last one is gone."""
    held = Held(int(sys.argv[1]), socket.socket(fileno=int(sys.argv[2])), Path(sys.argv[3]))
    start = unpack(sys.stdin.buffer.read())
    if os.fork():
        os._exit(0)
    # Whoever signals every process of a service means the workers, which tell when they go.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    logging.basicConfig(level=logging.WARNING, format="pydoudou registrar: %(message)s")
    anyio.run(_serve, held, start)


async def _serve(held: Held, start: Start) -> None:
    settings = attrs.evolve(start.settings, leave_on_sigterm=False)
    what = f"{settings.service_name}, port {settings.port}" if settings.register else "clients"
    holder = f"process {os.getpid()} of this machine, the registrar of {what},"
    Place.note_holder(held.lock, holder.rstrip(","))
    listening = Listening(held)
    registry = Registry(settings, timings=AT_REST)
    load = WorkersLoad()
    own_load.add_source(load)
    hub = Hub(registry, start.fingerprint, holder, listening.end, shared=True, load=load)
    try:
        await to_thread.run_sync(lambda: registry.start(start.registered, announce=start.registered is not None))
        await hub.begin()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(listening.serve, hub.serve)
            tasks.start_soon(listening.keep_fresh)
            await hub.run()
            tasks.cancel_scope.cancel()
    except DiscoveryError as error:
        logger.error("it cannot start: %s", error, extra=fields(service=settings.service_name, reason=error))
        refuse = partial(_refuse, f"{holder} cannot start: {error}")
        with anyio.move_on_after(_REFUSE_FOR):
            await listening.serve(refuse)
    finally:
        listening.end()
        await to_thread.run_sync(registry.stop)


async def _refuse(reason: str, wire: Wire, pid: int) -> None:
    with contextlib.suppress(BrokenWire, TimeoutError), contextlib.closing(wire):
        with anyio.fail_after(_HELLO_WITHIN):
            await wire.receive()
        await wire.send_now(frame(registrar_hello(reason)))


if __name__ == "__main__":
    main()
