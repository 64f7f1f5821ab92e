"""What calls and gossip tell each other, between real nodes: a failed call is a probe, pings tell how far it is."""

from __future__ import annotations

import time

from support.gossip import gossip_address, gossiping
from support.waiting import eventually

from pydoudou import MemberState, Registry
from pydoudou.drivers.memberlist import MemberlistDriver
from pydoudou.drivers.memberlist.protocol.messages import Suspect

PROBE_INTERVAL = 0.5
"""Of `FAST_GOSSIP`, in seconds."""


def probes_hinted(registry: Registry) -> int:
    return registry.status().backends[0].driver.counters["probes_hinted"]


def test_a_node_that_is_well_is_probed_because_of_a_failed_call_and_stays() -> None:
    with gossiping("orders", GDD_PORT="1") as orders, gossiping(GDD_MEM_SEED=gossip_address(orders)) as caller:
        eventually(lambda: caller.members("orders"))
        (member,) = caller.members("orders")
        began = time.monotonic()

        def probed() -> int:
            for _ in range(100):
                caller.probe(member)
            return probes_hinted(caller)

        eventually(probed, timeout=20)  # not at once where this process has been too busy to judge others
        assert probes_hinted(caller) <= 1 + (time.monotonic() - began) / PROBE_INTERVAL
        eventually(lambda: caller.round_trip(member) is not None, timeout=20)
        eventually(lambda: [found.state for found in caller.members("orders")] == [MemberState.ALIVE], timeout=20)
        eventually(lambda: caller.doubt() == "", timeout=20)


def test_the_pings_of_the_gossip_tell_how_long_a_member_takes_to_answer() -> None:
    with gossiping("orders", GDD_PORT="1") as orders, gossiping(GDD_MEM_SEED=gossip_address(orders)) as caller:
        eventually(lambda: caller.members("orders"))
        (member,) = caller.members("orders")
        # Smoothed over several: the first may have been in a moment without a processor.
        eventually(lambda: 0 < (caller.round_trip(member) or 0.0) < 0.2, timeout=20)
        (own,) = orders.members("orders")
        assert orders.round_trip(own) is None


def test_a_node_that_others_suspect_doubts_itself_and_asks_nothing() -> None:
    with gossiping("orders", GDD_PORT="1") as orders, gossiping(GDD_MEM_SEED=gossip_address(orders)) as caller:
        eventually(lambda: caller.members("orders"))
        (member,) = caller.members("orders")
        driver = caller.driver("memberlist")
        assert isinstance(driver, MemberlistDriver)

        async def hear_a_suspicion() -> tuple[str, int]:
            swim = driver.node.swim
            me = swim.record(swim.config.name)
            assert me is not None
            report = Suspect(me.incarnation, me.name, "somebody").encode()
            swim.packet_received(report, ("127.0.0.1", 1), time.monotonic())
            driver.probe(member)
            return driver.doubt(), swim.counters["probes_hinted"]

        assert caller.on_loop(hear_a_suspicion) == (
            "the health score of the gossip is 1: this node may be the one in trouble",
            0,
        )
        eventually(lambda: caller.doubt() == "")  # its own next probe is answered
