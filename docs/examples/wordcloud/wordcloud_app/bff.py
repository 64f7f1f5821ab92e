"""wordcloud-bff: the one address of the system, for the page and for programs."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Annotated, Any

from anyio import to_thread
from fastapi import FastAPI, File, Form, Request, UploadFile
from fastapi.responses import FileResponse, Response
from fastapi.staticfiles import StaticFiles

from pydoudou.contrib.protection.asgi import Bulkhead, RateLimit
from pydoudou.contrib.protection.memory import MemoryStore
from pydoudou.contrib.protection.redis import RedisStore

from .app import make_app
from .discovery import Service
from .errors import BizError, tell_errors
from .reports import Reports
from .signed_in import SignedIn, user_of
from .storage import MOST_BYTES, Storage
from .variables import number, text
from .words import LANGUAGES

UI = Path(__file__).parents[1] / "ui"
_PICTURE_BYTES = 16 * 1024 * 1024
_MOST_WORDS = 500
_PASSED_ON = ("content-type", "authorization")

users = Service("wordcloud-usersvc")
tokens = Service("wordcloud-usersvc", repeatable=True)
tasks = Service("wordcloud-tasksvc", repeatable=True)
maker = Service("wordcloud-makersvc", repeatable=True, patient=True)
storage = Storage()
reports = Reports(tasks)


async def close() -> None:
    """Tell what is still to be told, and let go of all connections."""
    await reports.close()
    for service in (users, tokens, tasks, maker):
        await service.close()


app = make_app("wordcloud-bff", close)
api = FastAPI(title="wordcloud-bff")
tell_errors(api)


@api.post("/upload")
async def upload(
    request: Request,
    file: Annotated[UploadFile, File()],
    lang: Annotated[str, Form()],
    top: Annotated[int, Form()] = 0,
) -> dict[str, Any]:
    """Draws a cloud of the words of a text, and says where it is."""
    user = request.state.user
    content = await file.read(MOST_BYTES + 1)
    _check(content, lang, top)
    # The key is another one for every upload: by it a request that is repeated further on is known.
    key = f"user{user['id']}_{uuid.uuid4().hex}"
    source = await to_thread.run_sync(storage.put, key, content, "text/plain; charset=utf-8")
    new = {"userId": user["id"], "srcUrl": source, "lang": lang, "top": top}
    try:
        task = (await tasks.post("/task/save", new))["data"]
    except BizError as error:
        reports.unsaved(new, str(error))
        raise
    try:
        made = await maker.post("/make", {"srcUrl": source, "lang": lang, "top": top})
    except BizError as error:
        await reports.failure(task, str(error))
        raise
    picture = made["data"]
    await reports.success(task, picture)
    return {"data": {"taskId": task, "srcUrl": source, "imgUrl": picture}}


def _check(content: bytes, language: str, top: int) -> None:
    if language not in LANGUAGES:
        raise BizError(400, f"parameter lang is {language!r}; accepted: {', '.join(LANGUAGES)}")
    if not 0 <= top <= _MOST_WORDS:
        raise BizError(400, f"parameter top is {top}; accepted: 0 (all) to {_MOST_WORDS}")
    if len(content) > MOST_BYTES:
        raise BizError(413, f"the file has more than {MOST_BYTES} bytes")
    try:
        if not content.decode().strip():
            raise BizError(400, "the file is empty")
    except UnicodeDecodeError as error:
        raise BizError(400, "the file is no text in UTF-8") from error


@api.get("/task/page")
async def task_page(request: Request, page: int, pageSize: int) -> dict[str, Any]:
    """A part of the list of one's own tasks, the latest first."""
    query = {
        "filter": {"userId": request.state.user["id"]},
        "page": {"orders": [{"col": "id", "sort": "desc"}], "pageNo": page, "size": pageSize},
    }
    return {"result": (await tasks.post("/task/page", query))["data"]}


redis = text("BIZ_REDIS_URL")
rate = f"{number('BIZ_RATE', 10, least=1):g}/s burst {number('BIZ_BURST', 30, least=1):.0f}"
api.add_middleware(RateLimit, rate=rate, key=user_of, store=RedisStore(redis) if redis else MemoryStore())
api.add_middleware(
    Bulkhead,
    workers=int(number("BIZ_BULKHEAD_WORKERS", 10, least=1)),
    longest_wait=number("BIZ_BULKHEAD_WAIT", 3),
)
api.add_middleware(SignedIn, users=tokens)


@app.api_route("/usersvc/{path:path}", methods=["GET", "POST"])
async def user_service(path: str, request: Request) -> Response:
    """The routes of the user service that the page needs: to sign up, in and out."""
    if path not in ("public/sign/up", "public/log/in", "me", "logout"):
        raise BizError(404, "not found")
    headers = {name: request.headers[name] for name in _PASSED_ON if name in request.headers}
    answer = await users.send(request.method, f"/{path}", content=await request.body(), headers=headers)
    return Response(answer.content, answer.status_code, media_type=answer.headers.get("content-type"))


@app.get("/oss/{bucket}/{key:path}")
async def stored(bucket: str, key: str) -> Response:
    """A text or a picture, for a browser that does not reach the store; its name is its secret."""
    found = None
    if bucket == storage.bucket:
        found = await to_thread.run_sync(storage.get, key, _PICTURE_BYTES)
    if found is None:
        raise BizError(404, "not found")
    safe = {"x-content-type-options": "nosniff", "content-security-policy": "default-src 'none'; sandbox"}
    return Response(found[0], media_type=found[1], headers=safe)


@app.get("/", include_in_schema=False)
async def page() -> FileResponse:
    """The page."""
    return FileResponse(UI / "index.html", headers={"content-security-policy": "default-src 'self'; img-src 'self'"})


app.mount("/ui", StaticFiles(directory=UI))
app.mount("", api)
