"""What a server needs around its own start and end: to register when it answers, and to leave before it stops.

::

    registry.start(announce=False)   # looks already, for the program's own calls
    ...                              # the port opens
    registry.announce()
    ...                              # SIGTERM
    registry.drain()                 # nobody new comes, and who is on the way is still served
    ...                              # the port closes

Draining is leaving, and serving on. It is never a weight of 0, which gossip takes for "dynamic" and which go-doudou's
round robin ignores: only who has left gets no calls from anybody. A registry that has left keeps its view, so that the
requests that are under way can still call others: it probes them, exchanges states with them and asks Nacos as before.
Only the gossip of new members does not come to who has left.
"""

from __future__ import annotations

import abc
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .supervisor import Supervisor

__all__ = ["Draining"]


class Draining(abc.ABC):
    """The part of a `Registry` that registers later and leaves earlier than it starts and stops."""

    @abc.abstractmethod
    def _required_run(self) -> Supervisor:
        """What runs. Raises `RegistryStateError` if nothing does."""

    def announce(self) -> None:
        """Register what `start(announce=False)` has held back; does nothing if that has happened.

        Raises:
            RegistryStateError: the registry does not run.
            MetadataTooLarge: the metadata does not fit.
            RegistrationError: a backend refused.
            DiscoveryError: a backend did not answer in time, or several refused; the message names each. In all cases
                but the first it may be called again.
        """
        self._required_run().announce()

    def drain(self, seconds: float | None = None) -> None:
        """Leave, and return when everybody has heard of it and whoever was on the way has been served.

        The metadata say ``state=draining``, the gossip is told that this process goes, and Nacos lists it no more. The
        registry keeps its view until `stop`. Called again, or by another thread, it waits for the rest of the time;
        a registry that is stopped meanwhile, or registers nothing, has nothing to wait for.

        Args:
            seconds: to serve on, counted from the first call. None: ``GDD_DRAIN_TIME`` (2 s), and longer for as long as
                the gossip takes by its interval and the number of its nodes, unless it has been told before.

        Raises:
            RegistryStateError: the registry does not run.
        """
        self._required_run().drain(seconds)

    async def drain_async(self, seconds: float | None = None) -> None:
        """`drain` for asynchronous programs, asyncio or trio: the event loop serves on meanwhile."""
        from anyio import to_thread

        await to_thread.run_sync(self.drain, seconds, abandon_on_cancel=True)
