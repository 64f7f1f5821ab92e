"""A process that registers when it answers and leaves before it ends, over gossip."""

from __future__ import annotations

import time

from support.gossip import NEVER_SUSPECTED, gossip_address, gossiping
from support.waiting import eventually

from pydoudou import MemberState, RoundRobin


def test_who_drains_is_gone_for_the_others_at_once_and_can_still_call_others() -> None:
    with gossiping(**NEVER_SUSPECTED) as looking:
        seed = gossip_address(looking)
        with (
            gossiping("users", GDD_MEM_SEED=seed, **NEVER_SUSPECTED),
            gossiping("orders", GDD_MEM_SEED=seed, **NEVER_SUSPECTED) as draining,
            looking.watch("orders") as watch,
        ):
            eventually(lambda: looking.members("orders") and draining.members("users"))
            began = time.monotonic()
            draining.drain(1.0)
            assert 1.0 <= time.monotonic() - began < 4.0
            assert looking.members("orders") == ()
            assert next(event for event in watch if not event.member.state.present).member.state is MemberState.LEFT
            status = draining.status()
            assert (status.presence, status.ready) == ("left", False)
            assert RoundRobin("users", draining).pick().service == "users"


def test_who_is_held_back_is_in_nobodys_view_until_it_is_announced() -> None:
    with gossiping(**NEVER_SUSPECTED) as looking:
        held_back = gossiping("orders", GDD_MEM_SEED=gossip_address(looking), **NEVER_SUSPECTED)
        held_back.start(announce=False)
        try:
            eventually(lambda: looking.status().backends[0].driver.nodes == 2)
            assert looking.members("orders") == ()
            assert held_back.status().presence == "held back"
            held_back.announce()
            eventually(lambda: looking.members("orders"))
            assert held_back.status().ready
        finally:
            held_back.stop()
