"""``pydoudou status``: how the backends are doing, as a process sees them that has just joined."""

from __future__ import annotations

import sys

import click

from ...discovery.status import BackendStatus, RegistryStatus
from .arrivals import wait_for_members
from .gossip import SeenNode, gossip_settings
from .joining import Joining, joining_options
from .output import Column, Output, Row, output_option

__all__ = ["status"]

_WAIT = 1.0
_BACKENDS = (Column("backend"), Column("is"), Column("nodes", right=True), Column("what it says"))
_NODES = (Column("node"), Column("state"), Column("address"), Column("services"))


@click.command()
@click.option(
    "--nodes", is_flag=True, help="Every node of the gossip: observers, seeds without a service and the dead too."
)
@output_option
@joining_options
def status(nodes: bool, output: Output, joining: Joining) -> None:
    """How the backends are doing, as a process sees them that has just joined.

    The exit code is 1 if one of them is not ready.
    """
    if nodes:
        with joining.census(gossip_settings(joining.settings())) as seen:
            output.table(_NODES, [_node(node) for node in seen.nodes if node.state != "left"])
        return
    with joining.registry() as registry:
        wait_for_members(registry, None, min(joining.wait, _WAIT))
        said = registry.status()
    if output.as_json:
        output.json(said.to_dict())
    else:
        _show(said, output)
    sys.exit(0 if said.ready else 1)


def _show(said: RegistryStatus, output: Output) -> None:
    output.table(_BACKENDS, [_backend(backend) for backend in said.backends])
    stale = f", stale: {', '.join(said.stale)}" if said.stale else ""
    output.say(f"{said.services} services, {said.members} members{stale}")
    if said.doubt:
        output.say(said.doubt, "yellow")


def _backend(backend: BackendStatus) -> Row:
    ready = "ready" if backend.ready else "not ready"
    _, _, says = str(backend).partition(ready)
    return Row((backend.mode, ready, f"{backend.driver.nodes}", says.removeprefix(", ")), backend.to_dict())


def _node(node: SeenNode) -> Row:
    services = tuple(dict.fromkeys(member.service for member in node.members))
    fields = {"node": node.name, "state": node.state, "address": node.address, "services": services}
    return Row((node.name, node.state, node.address, ", ".join(services)), fields)
