"""Having all drivers do something at once: each within a deadline, and all of them or none."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence

import anyio

from ..drivers.errors import DiscoveryError
from ..drivers.kit.log_fields import fields
from .supervised_driver import SupervisedDriver

__all__ = ["Action", "all_or_none", "each", "one_error"]

logger = logging.getLogger(__name__)

Action = Callable[[SupervisedDriver], Awaitable[object]]


async def each(drivers: Sequence[SupervisedDriver], action: Action, within: float) -> dict[str, Exception]:
    """Have all of them do something at once; the errors of those that failed or were late, by mode."""
    errors: dict[str, Exception] = {}

    async def attempt(driver: SupervisedDriver) -> None:
        try:
            with anyio.move_on_after(within) as deadline:
                await action(driver)
            if deadline.cancelled_caught:
                errors[driver.mode] = DiscoveryError(f"the {driver.mode} driver did not answer within {within:g} s")
        except Exception as error:
            errors[driver.mode] = error

    async with anyio.create_task_group() as attempts:
        for driver in drivers:
            attempts.start_soon(attempt, driver)
    return {driver.mode: errors[driver.mode] for driver in drivers if driver.mode in errors}


async def all_or_none(
    drivers: Sequence[SupervisedDriver], action: Action, undo: Action, refusal: str, within: float
) -> None:
    """Have all of them do something at once; if one fails, the others undo it.

    Raises:
        Exception: what the one driver raised that failed.
        DiscoveryError: several did; the message names each.
    """
    failures = await each(drivers, action, within)
    if not failures:
        return
    done = [driver for driver in drivers if driver.mode not in failures]
    for mode, error in (await each(done, undo, within)).items():
        logger.error("%s keeps what another backend refused: %s", mode, error, extra=fields(backend=mode, reason=error))
    raise one_error(refusal, failures)


def one_error(what: str, failures: dict[str, Exception]) -> Exception:
    """The error itself if it is the only one, so that it can be caught by its type."""
    first = next(iter(failures.values()))
    if len(failures) == 1:
        return first
    listed = "\n".join(f"  - {mode}: {type(error).__name__}: {error}" for mode, error in failures.items())
    combined = DiscoveryError(f"{len(failures)} backends {what}:\n{listed}")
    combined.__cause__ = first
    return combined
