"""Every member of a service fails: how many attempts reach them per call, through each client.

    python tests/e2e/everybody_fails.py --seconds 60

Four members, in a process of their own that counts what arrives, answer 503, reset every connection, or refuse it; a
client in another process calls at a steady rate with the default policy. It fails if there are more attempts per call
than the retry budget allows over a minute: 1 + 0.2 + 1/rate, and 0.01. The budget is full of reserve when the first
call comes, ten retries: in a shorter run they are counted one by one.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import attrs

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.failing_members import FailingMembers
from support.steady_load import SteadyLoad

CLIENTS = ("httpx", "requests", "aiohttp")
WAYS = ("503", "reset", "refused")
RATES = (20, 200)
MEMBERS = 4
RATIO, SLACK = 0.2, 0.01
RESERVE_SECONDS = 10.0
"""Of the reserve of one per second, which may all be spent with the first calls."""
A_MINUTE = 60.0
HEAD = f"{'members':10}{'rate':>6}  {'client':10}{'calls':>7}{'told':>7}{'arrived':>9}{'per call':>10}{'allowed':>9}"


@attrs.frozen
class Row:
    """What one client did at one rate.

    Attributes:
        told: attempts by the trails that the client gave the caller.
        arrived: requests that the members counted; None where no connection is made.
    """

    client: str
    how: str
    rate: int
    seconds: float
    calls: int
    failed: int
    told: int
    arrived: int | None

    @property
    def per_call(self) -> float:
        """Attempts per call, whichever count says more."""
        return max(self.told, self.arrived or 0) / max(1, self.calls)

    @property
    def allowed(self) -> float:
        """How many there may be."""
        if self.seconds >= A_MINUTE:
            return 1 + RATIO + 1 / self.rate + SLACK
        return 1 + RATIO + (self.seconds + RESERVE_SECONDS) / max(1, self.calls) + SLACK

    @property
    def wrong(self) -> str:
        """What is not as it has to be; "" if all is."""
        what = f"{self.client}, {self.how}, {self.rate}/s"
        if not self.calls:
            return f"{what}: no call was made"
        if self.failed < self.calls:
            return f"{what}: {self.calls - self.failed} calls did not fail"
        if self.per_call > self.allowed:
            return f"{what}: {self.per_call:.4f} attempts per call; {self.allowed:.4f} are allowed"
        if self.arrived is not None and self.arrived > self.told:
            return f"{what}: the members counted {self.arrived} requests, the trails tell of {self.told}"
        return ""


def measure(how: str, rate: int, seconds: float, clients: Sequence[str]) -> list[Row]:
    """All clients at the same time, each with members of its own."""
    with contextlib.ExitStack() as stack:
        all_members = [stack.enter_context(FailingMembers(how, MEMBERS)) for _ in clients]
        loads = []
        for client, members in zip(clients, all_members, strict=True):
            variables = {"GDD_SERVICE_DISCOVERY_MODE": "static", "GDD_STATIC_ORDERS": ",".join(members.addresses)}
            loads.append(stack.enter_context(SteadyLoad(client, rate, variables, {})))
        for load in loads:
            load.begin()
        began = time.monotonic()
        time.sleep(seconds)
        rows = []
        for load, members in zip(loads, all_members, strict=True):
            calls = load.end()
            took = seconds if seconds >= A_MINUTE else time.monotonic() - began
            failed, told = sum(bool(call.error) for call in calls), sum(call.attempts for call in calls)
            arrived = None if how == "refused" else members.count()
            rows.append(Row(load.client, how, rate, took, len(calls), failed, told, arrived))
        return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60.0, help="for each rate and way to fail")
    parser.add_argument("--rates", nargs="+", type=int, default=RATES)
    parser.add_argument("--ways", nargs="+", default=WAYS, choices=WAYS)
    parser.add_argument("--clients", nargs="+", default=CLIENTS, choices=CLIENTS)
    arguments = parser.parse_args()
    for name in [name for name in os.environ if name.startswith("GDD_")]:
        del os.environ[name]
    print(HEAD)
    wrong = []
    for how in arguments.ways:
        for rate in arguments.rates:
            for row in measure(how, rate, arguments.seconds, arguments.clients):
                arrived = "-" if row.arrived is None else str(row.arrived)
                print(
                    f"{how:10}{rate:6}  {row.client:10}{row.calls:7}{row.told:7}{arrived:>9}"
                    f"{row.per_call:10.4f}{row.allowed:9.4f}",
                    flush=True,
                )
                wrong += [row.wrong] if row.wrong else []
    for line in wrong:
        print(f"FAILED: {line}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
