"""A real Prometheus, where there is one."""

from __future__ import annotations

import contextlib
import json
import shutil
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.server_processes import process_of

from .http_members import HttpMember

__all__ = ["Ask", "Labels", "prometheus"]

Labels = dict[str, str]
Ask = Callable[[str], list[tuple[Labels, float]]]


@contextlib.contextmanager
def prometheus(folder: Path, **scraped: Any) -> Iterator[Ask]:
    """What a Prometheus answers to a query that scrapes, every second, what `scraped` says in the words of its
    configuration. Skips the test where there is none.
    """
    binary = shutil.which("prometheus")
    if binary is None:
        pytest.skip("there is no prometheus on this machine: apt-get install prometheus")
    config = folder / "prometheus.yml"
    job = {"job_name": "pydoudou", "scrape_interval": "1s", **scraped}
    config.write_text(json.dumps({"scrape_configs": [job]}), "utf-8")
    with HttpMember() as reserved:
        own = reserved.port  # free again by the time it is used
    command = [
        binary,
        f"--config.file={config}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{own}",
        "--log.level=warn",
    ]

    def answer(query: str) -> list[tuple[Labels, float]]:
        url = f"http://127.0.0.1:{own}/api/v1/query?" + urllib.parse.urlencode({"query": query})
        try:
            with urllib.request.urlopen(url, timeout=5) as said:
                result = json.load(said)["data"]["result"]
        except ConnectionError:
            return []
        except urllib.error.URLError as error:
            if isinstance(error, urllib.error.HTTPError) and error.code != 503:  # it is starting
                raise
            return []
        return [(found["metric"], float(found["value"][1])) for found in result]

    with process_of(command, cwd=folder):
        yield answer
