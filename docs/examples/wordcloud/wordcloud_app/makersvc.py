"""wordcloud-makersvc: a picture of the words of a text."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable

import anyio
from anyio import to_thread
from pydantic import BaseModel

import pydoudou

from .app import make_app
from .discovery import Service
from .errors import BizError
from .picture import NoFont, draw
from .storage import MOST_BYTES, Storage
from .variables import number

logger = logging.getLogger(__name__)

_MOST_WORDS = 500
_AT_ONCE = int(number("BIZ_DRAW_AT_ONCE", 1, least=1))

storage = Storage()
segsvc = Service("wordcloud-segsvc", pydoudou.SmoothWeighted, repeatable=True, patient=True)
app = make_app("wordcloud-makersvc", on_stop=segsvc.close)
drawing = anyio.CapacityLimiter(_AT_ONCE)


class Once:
    """Does for everybody who asks for a key at the same time what is to be done for it once."""

    def __init__(self) -> None:
        self._under_way: dict[str, asyncio.Task[str]] = {}

    async def run(self, key: str, work: Callable[[], Awaitable[str]]) -> str:
        """What comes of the work; an asker that goes away does not end it for the others."""
        task = self._under_way.get(key)
        if task is None:
            task = self._under_way[key] = asyncio.ensure_future(work())
            task.add_done_callback(lambda done: self._under_way.pop(key, None))
        return await asyncio.shield(task)


once = Once()


class Wanted(BaseModel):
    """Of which text, in which language, and how many words."""

    srcUrl: str
    lang: str = "zh"
    top: int = 0


@app.post("/make")
async def make(wanted: Wanted) -> dict[str, str]:
    """The URL of the picture: the same one however often it is asked for."""
    key = storage.key(wanted.srcUrl)
    if key is None:
        raise BizError(400, f"parameter srcUrl: one of {storage.url('')}")
    return {"data": await once.run(wanted.srcUrl, lambda: _make(key, wanted))}


async def _make(key: str, wanted: Wanted) -> str:
    picture = f"{hashlib.sha256(wanted.srcUrl.encode()).hexdigest()[:32]}_wordcloud.png"
    if await to_thread.run_sync(storage.get, picture, 0):
        return storage.url(picture)
    found = await to_thread.run_sync(storage.get, key, MOST_BYTES)
    if found is None:
        raise BizError(400, f"there is nothing at {wanted.srcUrl}")
    try:
        text = found[0].decode()
    except UnicodeDecodeError as error:
        raise BizError(400, "it is no text in UTF-8") from error
    answer = await segsvc.post("/seg", {"text": text, "lang": wanted.lang})
    words = answer["rs"]["WordFreq"]
    if not words:
        raise BizError(400, "there is no word in the text that can be drawn")
    chosen = {word: count for word, _, count in words[: min(wanted.top, _MOST_WORDS) or _MOST_WORDS]}
    async with drawing:
        try:
            png = await to_thread.run_sync(draw, chosen, wanted.lang)
        except NoFont as error:
            raise BizError(500, str(error)) from error
    url = await to_thread.run_sync(storage.put, picture, png, "image/png")
    logger.info("drew %s of %d words", picture, len(chosen))
    return url
