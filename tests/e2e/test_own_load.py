"""A service whose weight is 0 tells others of the places that it has left, and theirs changes with them."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Any

from support.gossip import NEVER_SUSPECTED, gossip_address, gossiping
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
