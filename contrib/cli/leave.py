"""``pydoudou leave NODE``: takes a node that is gone out of everybody's view before its suspicion is over."""

from __future__ import annotations

import contextlib
import itertools
import sys

import click

from ...drivers.memberlist.outside import Unanswered
from ...drivers.memberlist.protocol.scaling import retransmit_limit
from ...drivers.memberlist.settings import MemberlistSettings
from .gossip import SeenNode, gossip_settings, ip_addresses, outside
from .joining import Joining, joining_options

__all__ = ["leave"]

_WITHIN = 2.0
_INSTEAD = (
    "to take it out of service, end its process by SIGTERM, which has it leave, or have it drain (Registry.drain); "
    "what runs on where nobody reaches it has to be cut off there first"
)


@click.command()
@click.argument("node")
@click.option("--yes", is_flag=True, help="Do not ask.")
@joining_options
def leave(node: str, yes: bool, joining: Joining) -> None:
    """Tell the cluster that NODE has left, which cannot say so any more: its process was killed, its machine is gone.

    Only for a node that is suspect or dead and that does not answer: of a living one it would be a forged notice, which
    it would contradict at once. Others drop it at once, and its name and address are free.
    """
    settings = gossip_settings(joining.settings())
    with joining.census(settings) as seen:
        found = seen.node(node)
        if found.state == "left":
            click.echo(f"{found.name} has left already")
            return
        _refuse_living(settings, found)
        if not yes:
            _ask(found)
        others = sum(each.state == "alive" for each in seen.nodes)
        rounds = retransmit_limit(settings.config.retransmit_mult, len(seen.nodes) + 1)
        seen.report_left(found, settings.config.gossip_interval * rounds)
    click.echo(f"{others} node{'' if others == 1 else 's'} told that {found.name} has left")


def _refuse_living(settings: MemberlistSettings, node: SeenNode) -> None:
    """Raises `click.ClickException` if it is alive: by what the cluster says, or because it answers us."""
    if node.state == "alive":
        raise click.ClickException(f"{node.name} is alive, and a notice that it has left would be forged; {_INSTEAD}")
    try:
        addresses = ip_addresses(node.host, node.port)
    except (OSError, UnicodeError):
        return
    asking = outside(settings, _WITHIN)
    for address, ask in itertools.product(addresses, (asking.ping, asking.ping_over_stream)):
        with contextlib.suppress(Unanswered):
            ask(address, node.name)
            raise click.ClickException(
                f"{node.name} is {node.state} for others, and answers here: the way between them is closed; {_INSTEAD}"
            )


def _ask(node: SeenNode) -> None:
    question = f"{node.name} at {node.address} is {node.state} and does not answer. Tell all that it has left?"
    if not sys.stdin.isatty():
        raise click.UsageError(f"{question} There is nobody to ask: --yes says so")
    click.confirm(question, abort=True)
