"""The examples of the manual's page on protection run as they stand."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.redis_server import RedisServer

TESTS = Path(__file__).parents[1]
PAGE = TESTS.parent / "docs" / "protection.md"
EXAMPLES = re.findall(r"^```python\n(.*?)^```", PAGE.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
FRAMEWORKS = ("fastapi", "django", "flask")
DJANGO = "import django.conf; django.conf.settings.configure(ROOT_URLCONF=(), ALLOWED_HOSTS=['*'], SECRET_KEY='x')\n"
ASK_ASGI = """
import sys
import anyio
sys.path.insert(0, {tests!r})
from support.asgi_requests import ask

print(anyio.run(lambda: ask(app, headers=[(b"host", b"orders")])).status)
"""
ASK_WSGI = """
from wsgiref.util import setup_testing_defaults

asked = {{"HTTP_X_USER": "ann", "REMOTE_ADDR": "192.0.2.1"}}
setup_testing_defaults(asked)
body = app(asked, lambda status, headers, *rest: print(status[:3]))
list(body)
"""


def test_the_page_has_examples() -> None:
    assert len(EXAMPLES) == 6


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
def test_an_example_runs(example: str, tmp_path: Path) -> None:
    for framework in FRAMEWORKS:
        if f"from {framework}" in example:
            pytest.importorskip(framework)
    if "RedisStore" not in example:
        assert answered(example) in ("200", "404")  # some have no page
        return
    with RedisServer(tmp_path) as redis:
        assert answered(example.replace("redis://127.0.0.1:6379", redis.url)) == "200"


def answered(example: str) -> str:
    """The status that its application answers with, in a process of its own."""
    before = DJANGO if "from django" in example else ""
    after = (ASK_ASGI if "protection.asgi" in example else ASK_WSGI).format(tests=str(TESTS))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GDD_")}
    command = [sys.executable, "-W", "error", "-c", before + example + after]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=50, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
