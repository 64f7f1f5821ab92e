"""wordcloud-tasksvc: what was uploaded, and what became of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

from fastapi import Depends
from pydantic import BaseModel, Field
from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from .app import make_app
from .database import Status, Task, User, connect, per_request, tell_of_database
from .discovery import LONGEST_CALL
from .errors import BizError
from .paging import Page, part_of

CUT_OFF_AFTER = timedelta(seconds=3 * LONGEST_CALL)
"""An upload is three calls one after the other."""

sessions = connect()
app = make_app("wordcloud-tasksvc")
tell_of_database(app)


Db = Annotated[Session, Depends(per_request(sessions))]


class NewTask(BaseModel):
    """What was uploaded."""

    userId: int
    srcUrl: str = Field(min_length=1, max_length=512)
    lang: str = Field(min_length=1, max_length=8)
    top: int = 0


class Success(BaseModel):
    """A picture of it is there."""

    taskId: int
    imgUrl: str = Field(max_length=512)


class Failure(BaseModel):
    """None is, and why."""

    taskId: int
    error: str


class Order(BaseModel):
    """By what a list is sorted."""

    col: Literal["id", "create_at", "status"] = "id"
    sort: Literal["asc", "desc"] = "desc"


class OrderedPage(Page):
    """Which part of a list in which order."""

    orders: list[Order] = Field(default_factory=lambda: [Order()])


class Filter(BaseModel):
    """Whose tasks; 0 for everybody's."""

    userId: int = 0


class Query(BaseModel):
    """What of the list of tasks."""

    filter: Filter = Filter()
    page: OrderedPage = OrderedPage()


@app.post("/task/save")
def save(db: Db, task: NewTask) -> dict[str, int]:
    """The task's id; the same one however often it is saved."""
    known = db.scalar(select(Task).where(Task.src_url == task.srcUrl))
    if known is None:
        known = Task(src_url=task.srcUrl, user_id=task.userId, lang=task.lang, top=task.top, status=Status.PROCESSING)
        db.add(known)
        try:
            db.commit()
        except IntegrityError as error:
            db.rollback()
            known = db.scalar(select(Task).where(Task.src_url == task.srcUrl))  # the same request, at the same time
            if known is None:
                raise BizError(406, "user not found" if db.get(User, task.userId) is None else str(error)) from error
    return {"data": known.id}


@app.post("/task/success")
def success(db: Db, done: Success) -> dict[str, str]:
    """It succeeded."""
    return _end(db, done.taskId, status=Status.SUCCESS, img_url=done.imgUrl, error="")


@app.post("/task/fail")
def fail(db: Db, failed: Failure) -> dict[str, str]:
    """It failed; one that has succeeded stays so."""
    return _end(db, failed.taskId, status=Status.FAILED, error=failed.error[:655])


def _end(db: Session, task: int, **fields: Any) -> dict[str, str]:
    if db.get(Task, task) is None:
        raise BizError(406, "task not found")
    db.execute(update(Task).where(Task.id == task, Task.status != Status.SUCCESS).values(**fields))
    db.commit()
    return {"data": "OK"}


def _end_those_cut_off(db: Session) -> None:
    """Whoever was to tell how they ended has gone; one that tells later is heard."""
    begun = Task.create_at < datetime.now(UTC) - CUT_OFF_AFTER
    reason = "it was cut off: nobody told how it ended"
    ended = update(Task).where(Task.status == Status.PROCESSING, begun).values(status=Status.FAILED, error=reason)
    db.execute(ended)
    db.commit()


@app.post("/task/page")
def page(db: Db, query: Query) -> dict[str, Any]:
    """A part of the list of tasks."""
    _end_those_cut_off(db)
    chosen = select(Task).where(Task.delete_at.is_(None))
    if query.filter.userId:
        chosen = chosen.where(Task.user_id == query.filter.userId)
    columns = [getattr(Task, order.col) for order in query.page.orders]
    orders = [
        column.desc() if order.sort == "desc" else column
        for column, order in zip(columns, query.page.orders, strict=True)
    ]
    return part_of(db, chosen, query.page, orders)
