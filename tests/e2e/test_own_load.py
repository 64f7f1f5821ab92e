"""A service whose weight is 0 tells others of the places that it has left, and theirs changes with them."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.gossip import FAST_GOSSIP, NEVER_SUSPECTED, gossip_address, gossiping
from support.registrars import where_registrars_are
from support.server_processes import free_port, process_of
from support.waiting import eventually

from pydoudou.contrib.protection.wsgi import Bulkhead

DYNAMIC = {**NEVER_SUSPECTED, "GDD_WEIGHT": "0", "GDD_MEM_WEIGHT_INTERVAL": "150ms"}


def test_a_full_server_gets_a_small_weight_and_its_own_again_when_it_is_done() -> None:
    go_on = threading.Event()

    def held(environ: Any, start_response: Any) -> Iterable[bytes]:
        assert go_on.wait(40)
        start_response("200 OK", [])
        return []

    def ask() -> None:
        body = full({}, lambda *said: None)
        list(body)
        body.close()  # type: ignore[attr-defined]

    full = Bulkhead(held, workers=2, longest_wait=0, name="own-load")
    with gossiping("orders", **DYNAMIC) as registry:
        with gossiping(GDD_MEM_SEED=gossip_address(registry), **NEVER_SUSPECTED) as looking:

            def weights() -> list[int]:
                return [round(member.weight) for member in looking.members("orders")]

            eventually(lambda: weights() and weights()[0] >= 5, timeout=20)
            threads = [threading.Thread(target=ask) for _ in range(2)]
            for thread in threads:
                thread.start()
            eventually(lambda: weights() == [1], timeout=20)
            go_on.set()
            for thread in threads:
                thread.join(10)
            eventually(lambda: weights()[0] >= 5, timeout=20)


APPS = """
import os, time
from pydoudou.contrib.protection.wsgi import Bulkhead

def held(environ, start_response):
    while environ["PATH_INFO"] == "/hold" and not os.path.exists("go on"):
        time.sleep(0.02)
    start_response("200 OK", [("Content-Length", "0")])
    return []

app = Bulkhead(held, workers=2, longest_wait=0)
"""
HOOKS = "from pydoudou.contrib.gunicorn import post_worker_init, worker_exit\n"


def test_the_workers_of_a_server_have_one_weight_together(tmp_path: Path) -> None:
    """Their node is another process, which serves nothing."""
    pytest.importorskip("gunicorn")
    (tmp_path / "apps.py").write_text(APPS)
    (tmp_path / "gunicorn.conf.py").write_text(HOOKS)
    port = free_port()
    options = ("--workers", "2", "--threads", "8", "--bind", f"127.0.0.1:{port}", "--log-level", "critical")
    command = [sys.executable, "-m", "gunicorn", *options, "apps:app"]

    def hold() -> None:
        """Whichever worker takes it may be full already, and the other one not yet."""
        while httpx.get(f"http://127.0.0.1:{port}/hold", timeout=60).status_code == 503:
            pass

    with contextlib.ExitStack() as stack:
        stack.enter_context(where_registrars_are(tmp_path))
        looking = stack.enter_context(gossiping(**NEVER_SUSPECTED))
        variables = {"GDD_SERVICE_NAME": "orders", "GDD_PORT": str(port), "GDD_MEM_SEED": gossip_address(looking)}
        environment = os.environ | FAST_GOSSIP | DYNAMIC | variables
        stack.enter_context(process_of(command, env=environment, cwd=tmp_path))

        def weights() -> list[int]:
            return [round(member.weight) for member in looking.members("orders")]

        eventually(lambda: weights() and weights()[0] >= 5, timeout=40)
        threads = stack.enter_context(ThreadPoolExecutor(4))
        stack.callback((tmp_path / "go on").touch)
        holding = [threads.submit(hold) for _ in range(4)]
        eventually(lambda: weights() == [1], timeout=20)
        (tmp_path / "go on").touch()
        for each in holding:
            each.result(20)
        eventually(lambda: weights()[0] >= 5, timeout=20)
