"""Callers in Go, with go-doudou's own balancers, and how they take what a Python service says of its load."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Any

from support.doudou_peer import DoudouPeer
from support.gossip import FAST_GOSSIP, NEVER_SUSPECTED, gossip_address, gossiping
from support.server_processes import free_port
from support.service_process import ServiceProcess
from support.waiting import eventually

from pydoudou.contrib.protection.wsgi import Bulkhead

DYNAMIC = {**NEVER_SUSPECTED, "GDD_WEIGHT": "0", "GDD_MEM_WEIGHT_INTERVAL": "200ms"}


def test_a_go_caller_sends_less_to_a_member_that_is_full() -> None:
    go_on = threading.Event()

    def held(environ: Any, start_response: Any) -> Iterable[bytes]:
        assert go_on.wait(50)
        start_response("200 OK", [])
        return []

    def ask() -> None:
        body = guarded({}, lambda *said: None)
        list(body)
        body.close()  # type: ignore[attr-defined]

    guarded = Bulkhead(held, workers=2, longest_wait=0, name="own-load")
    port = free_port()
    with gossiping("orders", GDD_PORT=str(port), **DYNAMIC) as registry:
        seed = {**FAST_GOSSIP, "GDD_MEM_SEED": gossip_address(registry)}
        idle = {**seed, **DYNAMIC, "GDD_SERVICE_NAME": "orders"}
        caller = {**seed, **NEVER_SUSPECTED, "GDD_SERVICE_NAME": "caller", "GDD_MEM_NAME": "caller"}
        caller["GDD_MEM_PORT"] = str(free_port())
        with ServiceProcess("idle", idle), DoudouPeer(**caller) as go:
            go.join("orders")

            def share(balancer: str = "smooth weighted") -> float:
                return go.pick(balancer, 200).get(f"http://127.0.0.1:{port}", 0.0)

            eventually(lambda: 0.3 < share() < 0.7, timeout=20)
            threads = [threading.Thread(target=ask) for _ in range(2)]
            for thread in threads:
                thread.start()
            eventually(lambda: share() < 0.2, timeout=20)
            assert share() > 0
            assert share("round robin") == 0.5
            go_on.set()
            for thread in threads:
                thread.join(10)
            eventually(lambda: 0.3 < share() < 0.7, timeout=20)
