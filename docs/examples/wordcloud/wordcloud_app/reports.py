"""Tells the task service how tasks ended, until it has heard."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Mapping
from typing import Any

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
        self._open: set[asyncio.Task[Any]] = set()

    async def success(self, task: int, picture: str) -> None:
        """There is a picture."""
        await self._tell("/task/success", {"taskId": task, "imgUrl": picture})

    async def failure(self, task: int, reason: str) -> None:
        """There is none."""
        await self._tell("/task/fail", {"taskId": task, "error": reason})

    def unsaved(self, task: Mapping[str, Any], reason: str) -> None:
        """Nobody knows whether a task was saved: as soon as that can be told, it is one that failed."""
        self._tell_later(self._fail(task, reason))

    async def _fail(self, task: Mapping[str, Any], reason: str) -> None:
        saved = await self._until_told("/task/save", task)
        if saved is not None:
            await self._until_told("/task/fail", {"taskId": saved["data"], "error": reason})

    async def _tell(self, path: str, body: dict[str, object]) -> None:
        try:
            await self._tasks.post(path, body)
        except BizError as error:
            logger.warning("%s %s has to be told again: %s", path, body, error)
            self._tell_later(self._until_told(path, body))

    def _tell_later(self, telling: Coroutine[Any, Any, Any]) -> None:
        later = asyncio.ensure_future(telling)
        self._open.add(later)
        later.add_done_callback(self._open.discard)

    async def _until_told(self, path: str, body: Mapping[str, Any]) -> Any:
        """The answer; None if the task service does not want to hear it."""
        while True:
            await asyncio.sleep(_AGAIN_AFTER)
            try:
                return await self._tasks.post(path, body)
            except BizError as error:
                if error.status < 500:
                    logger.error("%s %s is refused: %s", path, body, error)
                    return None

    async def close(self) -> None:
        """Wait for a while for what is not told yet."""
        if self._open:
            await asyncio.wait(self._open, timeout=_AT_THE_END_WITHIN)
        for report in tuple(self._open):
            report.cancel()
