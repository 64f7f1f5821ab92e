"""wordcloud-usersvc: who there is, and who somebody is."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import Depends, File, Form, Header, UploadFile
from fastapi.responses import Response
from pydantic import BaseModel
from sqlalchemy import delete, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from . import passwords, tokens
from .app import make_app
from .bearer import bearer
from .database import InvalidToken, User, connect, per_request, tell_of_database
from .errors import BizError
from .paging import Page, part_of
from .storage import MOST_BYTES, Storage
from .variables import secret

NOBODY = {"id": 0, "username": "", "name": "", "phone": "", "dept": ""}

sessions = connect()
storage = Storage()
failures = passwords.Failures()
app = make_app("wordcloud-usersvc")
tell_of_database(app)


Db = Annotated[Session, Depends(per_request(sessions))]


def known(db: Session, token: str) -> User | None:
    """Whose token it is, unless that one signed out."""
    found = tokens.user_id(token)
    if not found or db.scalar(select(InvalidToken).where(InvalidToken.token == _digest(token))):
        return None
    return db.get(User, found)


def signed_in(db: Db, authorization: Annotated[str | None, Header()] = None) -> User:
    """Whoever asks; 401 for nobody."""
    user = known(db, bearer(authorization))
    if user is None:
        raise BizError(401, "sign in first")
    return user


Me = Annotated[User, Depends(signed_in)]


def _digest(token: str) -> str:
    """The signature, which stands for a token in less than its length."""
    return token.rpartition(".")[2]


def _make_first_user() -> None:
    """The one of the original, if there is nobody."""
    with sessions() as db:
        if not db.scalar(select(func.count()).select_from(User)):
            name, password = secret("BIZ_FIRST_USER", "jackchen"), secret("BIZ_FIRST_PASSWORD", "1234")
            db.add(User(username=name, password=passwords.hashed(password), name=name))
            try:
                db.commit()
            except IntegrityError:  # another process was first
                db.rollback()


_make_first_user()


@app.post("/public/sign/up")
def sign_up(
    db: Db, username: Annotated[str, Form()], password: Annotated[str, Form()], code: Annotated[str, Form()] = ""
) -> dict[str, int]:
    """A new user; 406 if the name is used."""
    if not username.strip() or len(username) > 45:
        raise BizError(400, "parameter username: 1 to 45 characters")
    user = User(username=username, password=passwords.hashed(password), name=username)
    db.add(user)
    try:
        db.commit()
    except IntegrityError as error:
        raise BizError(406, f"the name {username} is used") from error
    return {"data": user.id}


@app.post("/public/log/in")
def log_in(db: Db, username: Annotated[str, Form()], password: Annotated[str, Form()]) -> dict[str, str]:
    """A token; 401 for a wrong name or password, 429 after too many."""
    with failures.trial(username) as tell:
        user = db.scalar(select(User).where(User.username == username))
        right = passwords.right(password, user.password if user else None)
        tell(right)
    if not right or user is None:
        raise BizError(401, "wrong name or password")
    return {"data": tokens.issue(user.id)}


@app.post("/public/token/validate")
def validate(db: Db, token: Annotated[str, Form()]) -> dict[str, Any]:
    """Whose token it is: a user with the id 0 if nobody's."""
    user = known(db, token)
    return {"user": user.to_dict() if user else NOBODY}


@app.get("/me")
def me(user: Me) -> dict[str, Any]:
    """Whoever asks."""
    return {"data": user.to_dict()}


@app.get("/user")
def one(db: Db, me: Me, userId: int) -> dict[str, Any]:
    """A user by id; 406 if there is none."""
    user = db.get(User, userId)
    if user is None:
        raise BizError(406, "user not found")
    return {"data": user.to_dict()}


@app.get("/logout")
def log_out(db: Db, me: Me, authorization: Annotated[str, Header()]) -> dict[str, str]:
    """The token is not valid any more."""
    token = bearer(authorization)
    db.execute(delete(InvalidToken).where(InvalidToken.expire_at < datetime.now(UTC)))
    db.add(InvalidToken(token=_digest(token), expire_at=tokens.expiry(token)))
    db.commit()
    return {"data": "OK"}


class UserQuery(BaseModel):
    """What of the list of users."""

    page: Page = Page()


@app.post("/page/users")
def page(db: Db, me: Me, query: UserQuery) -> dict[str, Any]:
    """A part of the list of users."""
    return part_of(db, select(User), query.page, [User.id])


@app.post("/upload/avatar")
def upload_avatar(db: Db, me: Me, avatar: Annotated[UploadFile, File()]) -> dict[str, str]:
    """A picture of whoever asks."""
    picture = avatar.file.read(MOST_BYTES + 1)
    if len(picture) > MOST_BYTES or not (avatar.content_type or "").startswith("image/"):
        raise BizError(400, f"parameter avatar: a picture of up to {MOST_BYTES} bytes")
    me.avatar = f"avatar-{me.id}"
    storage.put(me.avatar, picture, avatar.content_type or "")
    db.commit()
    return {"data": "OK"}


@app.get("/public/download/avatar")
def download_avatar(db: Db, userId: int) -> Response:
    """The picture of a user; 404 if there is none."""
    user = db.get(User, userId)
    found = storage.get(user.avatar, MOST_BYTES) if user is not None and user.avatar else None
    if found is None:
        raise BizError(404, "no picture")
    return Response(found[0], media_type=found[1])
