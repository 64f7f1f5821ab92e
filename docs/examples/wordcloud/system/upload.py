"""Uploads a text as a program does, and tells what came of it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import httpx

__all__ = ["sign_in", "upload"]

_WITHIN = 180.0


def sign_in(client: httpx.Client, name: str = "jackchen", password: str = "1234") -> str:
    """A token.

    Raises:
        httpx.HTTPStatusError: name or password is wrong.
    """
    answer = client.post("usersvc/public/log/in", data={"username": name, "password": password})
    answer.raise_for_status()
    return str(answer.json()["data"])


def upload(url: str, file: Path, language: str, top: int) -> dict[str, Any]:
    """What the system made of the file: ``task_id, status, image_url, image_bytes, seconds``; or ``error``."""
    with httpx.Client(base_url=url, timeout=_WITHIN) as client:
        client.headers["authorization"] = f"Bearer {sign_in(client)}"
        began = time.monotonic()
        answer = client.post(
            "upload", files={"file": (file.name, file.read_bytes())}, data={"lang": language, "top": str(top)}
        )
        seconds = round(time.monotonic() - began, 3)
        if answer.is_error:
            return {"status": answer.status_code, "error": answer.text, "seconds": seconds, "image_bytes": 0}
        made = answer.json()["data"]
        picture = client.get(f"oss/{'/'.join(made['imgUrl'].split('/')[3:])}").raise_for_status()
        return {
            "task_id": made["taskId"],
            "status": answer.status_code,
            "image_url": made["imgUrl"],
            "image_bytes": len(picture.content),
            "seconds": seconds,
        }
