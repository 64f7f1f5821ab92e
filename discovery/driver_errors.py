"""What comes out of a driver, whoever wrote it and whatever it is: an error of that driver, and of nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from ..drivers.errors import DiscoveryError
from ..drivers.kit.cancellation import others_cancellation_as
from ..drivers.kit.validation import escaped

__all__ = ["errors_inside", "errors_of_any_kind", "innermost", "said"]


@contextmanager
def errors_inside(what: str) -> Iterator[None]:
    """What comes out of a driver is the driver's error: a cancellation that nobody asked for would end the task group
    that it comes to, every other driver with it, and be told nobody.
    """
    with (
        others_cancellation_as(DiscoveryError(f"what its {what}() waited for was cancelled, and not by us")),
        errors_of_any_kind(what),
    ):
        yield


@contextmanager
def errors_of_any_kind(what: str) -> Iterator[None]:
    """What is no `Exception`, a SystemExit or the panic of an extension module, would end the event loop of all."""
    try:
        yield
    except (Exception, asyncio.CancelledError, GeneratorExit):
        raise
    except BaseException as error:
        if isinstance(error, BaseExceptionGroup) and error.split(asyncio.CancelledError)[1] is None:
            raise
        raise DiscoveryError(f"its {what}() raised {type(error).__name__}: {error}") from error


def said(error: Exception) -> str:
    """An error of a driver as it may stand in a line: what a server answered may be in it."""
    return escaped(str(error), 2000)


def innermost(error: Exception) -> Exception:
    """The error itself, out of the groups that task groups wrap around it."""
    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error
