"""The word cloud system of the documentation, started for a test."""

from __future__ import annotations

import contextlib
import importlib.util
import signal
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["HERE", "RUN", "SECRETS", "Person", "drawing", "part", "running", "skip_without", "upload_in_page"]

HERE = Path(__file__).parents[2] / "docs" / "examples" / "wordcloud"
RUN = HERE / "run"
SECRETS = dict.fromkeys(
    (
        "GDD_MANAGE_PASS",
        "BIZ_OSS_KEY",
        "BIZ_OSS_SECRET",
        "BIZ_FIRST_USER",
        "BIZ_FIRST_PASSWORD",
        "BIZ_JWT_SECRET",
        "POSTGRES_PASSWORD",
        "GF_SECURITY_ADMIN_PASSWORD",
    ),
    "given",
)
"""What the Compose file asks for."""
_NEEDED = ("wordcloud", "rjieba", "boto3", "moto", "bcrypt", "jwt", "sqlalchemy", "multipart")


def skip_without() -> None:
    """Skip the tests of this module if what the system needs is not installed; else make its modules importable."""
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(f"the word cloud system needs {', '.join(missing)}: make wordcloud-test", allow_module_level=True)
    if str(HERE) not in sys.path:
        sys.path.append(str(HERE))


@contextlib.contextmanager
def running(folder: Path, scale: Mapping[str, int] | None = None, *, full: bool = False) -> Iterator[Any]:
    """The `system.topology.System`, from its start to its stop; `full` with real parts."""
    from system.topology import System

    # Two that begin at the same moment would both find the usual port free, and one would talk to the other's bff.
    system = System(folder, scale=dict(scale or {}), full=full, port=0)
    try:
        system.start()
        yield system
    finally:
        system.stop()


def part(system: Any, name: str) -> Any:
    """The `system.parts.Part` of that name."""
    return next(part for part in system.parts if part.name == name)


def _calls_under_way(caller: Any, service: str) -> bool:
    """Whether a part waits for an answer of a service."""
    url = f"http://127.0.0.1:{caller.port}/go-doudou/prometheus"
    told = httpx.get(url, auth=("admin", "admin")).raise_for_status().text
    return f'pydoudou_attempts_in_flight{{service="{service}"}} 1.0' in told


@contextlib.contextmanager
def drawing(system: Any, person: Person, content: bytes) -> Iterator[Future[httpx.Response]]:
    """An upload of which segsvc has the text and says nothing of it before the block ends; the answer to come."""
    seg = part(system, "segsvc")
    with ThreadPoolExecutor(1) as threads:
        seg.process.send_signal(signal.SIGSTOP)
        try:
            uploading = threads.submit(person.upload, content)
            eventually(lambda: _calls_under_way(part(system, "makersvc"), "wordcloud-segsvc"), timeout=20.0)
            yield uploading
        finally:
            seg.process.send_signal(signal.SIGCONT)


class Person(httpx.Client):
    """Somebody who signs in, and may upload any number of texts at once."""

    def __init__(self, url: str, name: str = "jackchen", password: str = "1234") -> None:
        super().__init__(base_url=url, timeout=180.0, limits=httpx.Limits(max_connections=None))
        self._signs_in_with = {"username": name, "password": password}

    def __enter__(self) -> Person:
        super().__enter__()
        answer = self.post("usersvc/public/log/in", data=self._signs_in_with).raise_for_status()
        self.headers["authorization"] = f"Bearer {answer.json()['data']}"
        return self

    def upload(self, content: bytes, lang: str = "en", top: object = 0) -> httpx.Response:
        """The answer to an upload."""
        return self.post("upload", files={"file": ("text.txt", content)}, data={"lang": lang, "top": str(top)})

    def tasks(self, page: int = 1, size: int = 100) -> list[dict[str, Any]]:
        """Those of this person, the latest first."""
        asked = {"page": page, "pageSize": size}
        while (answer := self.get("task/page", params=asked)).status_code == 429:  # who waits for one asks too often
            time.sleep(float(answer.headers.get("Retry-After", 1)))
        return list(answer.raise_for_status().json()["result"]["items"])

    def all_tasks(self) -> list[dict[str, Any]]:
        """Every one of this person."""
        found: list[dict[str, Any]] = []
        while some := self.tasks(page=len(found) // 100 + 1):
            found += some
            if len(some) < 100:
                break
        return found

    def picture(self, url: str) -> bytes:
        """What the browser would show."""
        return self.get(f"oss/{'/'.join(url.split('/')[3:])}").raise_for_status().content


def upload_in_page(page: Any, language: str, file: Path) -> None:
    """Have the page, where somebody has signed in, draw a file, until its picture is there."""
    before = page.get_attribute("#picture", "src")
    page.check(f"[name=lang][value={language}]")
    page.set_input_files("[name=file]", file)
    page.click("#upload .main")
    page.wait_for_function(
        "before => document.getElementById('picture').getAttribute('src') !== before "
        "&& document.getElementById('picture').complete",
        arg=before,
    )
