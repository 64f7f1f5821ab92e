"""The tables of the original, over PostgreSQL or SQLite: BIZ_DB_URL is a URL of SQLAlchemy."""

from __future__ import annotations

import enum
import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Annotated

from fastapi import FastAPI, Request
from fastapi.responses import PlainTextResponse
from sqlalchemy import ForeignKey, String, create_engine, event
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship, sessionmaker

from .errors import AGAIN_AFTER
from .variables import text

__all__ = ["InvalidToken", "Status", "Task", "User", "connect", "per_request", "tell_of_database"]

logger = logging.getLogger(__name__)

Key = Annotated[int, mapped_column(primary_key=True)]


def _now() -> datetime:
    return datetime.now(UTC)


class Base(DeclarativeBase):
    """What all tables have."""

    create_at: Mapped[datetime] = mapped_column(default=_now)


class User(Base):
    """Who signs in."""

    __tablename__ = "t_user"

    id: Mapped[Key]
    username: Mapped[str] = mapped_column(String(45), unique=True)
    password: Mapped[str] = mapped_column(String(60))
    name: Mapped[str] = mapped_column(String(45), default="")
    phone: Mapped[str] = mapped_column(String(45), default="")
    dept: Mapped[str] = mapped_column(String(45), default="")
    avatar: Mapped[str] = mapped_column(String(255), default="")

    def to_dict(self) -> dict[str, object]:
        """What others may know."""
        return {"id": self.id, "username": self.username, "name": self.name, "phone": self.phone, "dept": self.dept}


class Status(enum.IntEnum):
    """How far a task is."""

    WAITING = 0
    PROCESSING = 1
    SUCCESS = 2
    FAILED = 3


class Task(Base):
    """One upload; its source is unique, so that saving it twice is saving it once."""

    __tablename__ = "t_word_cloud_task"

    id: Mapped[Key]
    src_url: Mapped[str] = mapped_column(String(512), unique=True)
    img_url: Mapped[str] = mapped_column(String(512), default="")
    status: Mapped[int] = mapped_column(default=Status.PROCESSING)
    error: Mapped[str] = mapped_column(String(655), default="")
    user_id: Mapped[int] = mapped_column(ForeignKey("t_user.id", ondelete="CASCADE"), index=True)
    lang: Mapped[str] = mapped_column(String(8))
    top: Mapped[int]
    delete_at: Mapped[datetime | None]
    user: Mapped[User] = relationship(lazy="joined")

    def to_dict(self) -> dict[str, object]:
        """A row of the list of tasks."""
        return {
            "id": self.id,
            "srcUrl": self.src_url,
            "imgUrl": self.img_url,
            "lang": self.lang,
            "top": self.top,
            "status": self.status,
            "error": self.error,
            "username": self.user.username,
            "createAt": f"{self.create_at:%Y-%m-%d %H:%M:%S}",
        }


class InvalidToken(Base):
    """Tokens of those who signed out, until they expire by themselves."""

    __tablename__ = "t_invalid_token"

    id: Mapped[Key]
    token: Mapped[str] = mapped_column(String(120), unique=True)
    expire_at: Mapped[datetime]


def tell_of_database(app: FastAPI) -> None:
    """Have `app` answer 503 while the database is down."""

    @app.exception_handler(OperationalError)
    @app.exception_handler(InterfaceError)
    async def no_database(request: Request, error: Exception) -> PlainTextResponse:
        logger.warning("the database: %s", error)
        return PlainTextResponse("the database cannot be reached", 503, AGAIN_AFTER)


def connect() -> sessionmaker[Session]:
    """Sessions, on a database that has the tables."""
    engine = create_engine(text("BIZ_DB_URL", "sqlite:///wordcloud.db"), pool_pre_ping=True)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _share)
    Base.metadata.create_all(engine)
    return sessionmaker(engine, expire_on_commit=False)


def per_request(sessions: sessionmaker[Session]) -> Callable[[], Iterator[Session]]:
    """A dependency of FastAPI: the database, for one request."""

    def session() -> Iterator[Session]:
        with sessions() as opened:
            yield opened

    return session


def _share(connection: object, record: object) -> None:
    """Let several processes read and write one SQLite file, and hold it to foreign keys."""
    cursor = connection.cursor()  # type: ignore[attr-defined]
    for pragma in ("journal_mode=WAL", "busy_timeout=10000", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
