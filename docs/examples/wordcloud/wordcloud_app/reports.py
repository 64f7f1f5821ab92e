"""Tells the task service how tasks ended, until it has heard."""

from __future__ import annotations

import asyncio
import contextlib
import logging

from .discovery import Service
from .errors import BizError

__all__ = ["Reports"]

logger = logging.getLogger(__name__)

_AGAIN_AFTER = 1.0
_AT_THE_END_WITHIN = 10.0


class Reports:
    """What is to be told. A picture that was drawn is not lost because the task service is being restarted."""

    def __init__(self, tasks: Service) -> None:
        self._tasks = tasks
        self._open: set[asyncio.Task[None]] = set()

    async def success(self, task: int, picture: str) -> None:
        """There is a picture."""
        await self._tell("/task/success", {"taskId": task, "imgUrl": picture})

    async def failure(self, task: int, reason: str) -> None:
        """There is none."""
        await self._tell("/task/fail", {"taskId": task, "error": reason})

    async def _tell(self, path: str, body: dict[str, object]) -> None:
        try:
            await self._tasks.post(path, body)
        except BizError as error:
            logger.warning("%s %s has to be told again: %s", path, body, error)
            later = asyncio.ensure_future(self._until_told(path, body))
            self._open.add(later)
            later.add_done_callback(self._open.discard)

    async def _until_told(self, path: str, body: dict[str, object]) -> None:
        while True:
            await asyncio.sleep(_AGAIN_AFTER)
            with contextlib.suppress(BizError):
                await self._tasks.post(path, body)
                return

    async def close(self) -> None:
        """Wait for a while for what is not told yet."""
        if self._open:
            await asyncio.wait(self._open, timeout=_AT_THE_END_WITHIN)
        for report in tuple(self._open):
            report.cancel()
