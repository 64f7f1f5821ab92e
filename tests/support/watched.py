"""What a watch tells, gathered: one that is closed forgets what nobody has read yet."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator

from pydoudou import MemberEvent, Registry

__all__ = ["watched"]


@contextlib.contextmanager
def watched(registry: Registry, service: str, told: Callable[[MemberEvent], None]) -> Iterator[None]:
    """Have `told` hear of every change of the service while the block runs, from a thread of its own."""
    with registry.watch(service) as watch:

        def read() -> None:
            for event in watch:
                told(event)

        thread = threading.Thread(target=read)
        thread.start()
        try:
            yield
        finally:
            watch.close()
            thread.join()
