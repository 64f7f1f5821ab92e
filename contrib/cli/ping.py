"""``pydoudou ping NODE``: does a gossip node answer, by datagram and over TCP, and how fast?"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from functools import partial

import click

from ...drivers.memberlist.outside import Outside, Unanswered
from ...drivers.memberlist.protocol.addresses import Address, shown
from ...drivers.memberlist.settings import parse_seed
from .gossip import gossip_settings, ip_addresses, outside
from .joining import Joining, joining_options
from .output import Column, Output, Row, output_option
from .progress import progress

__all__ = ["ping"]

_COLUMNS = (
    Column("to"),
    Column("answers"),
    Column("least", right=True),
    Column("median", right=True),
    Column("why not"),
)
_PAUSE = 0.1


@click.command()
@click.argument("node")
@click.option(
    "--count", type=click.IntRange(1, 1000), default=3, show_default=True, help="How many pings of each kind."
)
@click.option(
    "--timeout", type=click.FloatRange(0.01, 60), default=2.0, show_default=True, help="Seconds for each ping."
)
@output_option
@joining_options
def ping(node: str, count: int, timeout: float, output: Output, joining: Joining) -> None:
    """Whether the gossip node NODE answers, by UDP and by TCP, and the round trip.

    NODE is HOST:PORT, which needs no cluster, or the name of a node of the cluster that is joined to look. What has to
    fit is the key, the label and the networks that it admits. The exit code is 1 if it does not answer by both.
    """
    name, addresses, asking = _found(node, timeout, joining)
    answered = True
    rows = []
    with progress("pinging", 2 * len(addresses) * count) as step:
        for address in addresses:
            for kind, ask in (("udp", asking.ping), ("tcp", asking.ping_over_stream)):
                row, well = _asked(f"{shown(address)} {kind}", partial(ask, address, name), count, step)
                rows.append(row)
                answered &= well
    output.table(_COLUMNS, rows)
    sys.exit(0 if answered else 1)


def _found(node: str, timeout: float, joining: Joining) -> tuple[str, list[Address], Outside]:
    """The name that has to answer, if one has to, the addresses, and who asks."""
    try:
        address = parse_seed(node) if ":" in node else None
    except ValueError:
        address = None
    settings = gossip_settings(joining.settings())
    asking = outside(settings, timeout)
    if address is not None:
        return "", _resolved(address), asking
    with joining.census(settings) as seen:
        found = seen.node(node)
    return node, _resolved((found.host, found.port)), asking


def _resolved(address: Address) -> list[Address]:
    try:
        return ip_addresses(*address)
    except (OSError, UnicodeError) as error:
        raise click.ClickException(f"{address[0]} cannot be resolved: {error}") from error


def _asked(what: str, ask: Callable[[], float], count: int, step: Callable[[], None]) -> tuple[Row, bool]:
    """A row on so many pings, and whether the last one was answered."""
    took: list[float] = []
    why = ""
    for number in range(count):
        if number:
            time.sleep(_PAUSE)
        try:
            took.append(ask())
        except Unanswered as unanswered:
            why = str(unanswered)
            break
        step()
    least, median = (min(took), statistics.median(took)) if took else (None, None)
    fields = {"to": what, "sent": len(took) + bool(why), "answered": len(took), "least_seconds": least}
    cells = (what, f"{len(took)} of {len(took) + bool(why)}", _milliseconds(least), _milliseconds(median), why)
    return Row(cells, {**fields, "median_seconds": median, "why_not": why}), not why


def _milliseconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds * 1000:.2f} ms"
