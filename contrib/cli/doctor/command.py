"""The command: runs all checks, shows how far they are, and then what they found."""

from __future__ import annotations

import logging
import sys

import click

from ..joining import Joining, seed_option
from ..output import Output, output_option
from ..progress import progress
from .cluster import look_at_gossip
from .machine import look_at_clock, look_at_container, look_at_network, look_at_port, look_at_workers
from .nacos import look_at_nacos
from .running import findings_of
from .situation import Check, Finding, Situation
from .variables import look_at_variables

__all__ = ["CHECKS", "doctor"]

CHECKS = (
    Check("the variables", look_at_variables),
    Check("this machine's network", look_at_network),
    Check("the port of the gossip", look_at_port),
    Check("the clock", look_at_clock),
    Check("the workers", look_at_workers),
    Check("the container", look_at_container),
    Check("the gossip", look_at_gossip, 30.0),
    Check("the Nacos server", look_at_nacos, 30.0),
)


@click.command()
@click.option(
    "--write",
    is_flag=True,
    help="See whether Nacos lets this user register, too: an ephemeral instance of a service pydoudou-doctor-…, which "
    "is taken back at once. Nothing else is ever written.",
)
@output_option
@seed_option
def doctor(write: bool, output: Output, joining: Joining) -> None:
    """What is wrong with the settings, this machine, the cluster or the Nacos server, and what to do about it.

    It looks as the process would that has this environment: to register if GDD_SERVICE_NAME is set. Nothing is
    registered, unless --write asks for it. The exit code is 0 if nothing was found, else 1.
    """
    logging.getLogger("pydoudou").setLevel(logging.CRITICAL)  # what is logged here are the findings, less well said
    situation = Situation.of(joining.configuration(), writes=write)
    with progress("looking", len(CHECKS)) as step:
        found = findings_of(CHECKS, situation, lambda check: step())
    if output.as_json:
        for finding in found:
            output.json(finding.to_dict())
    else:
        _show(found, situation, output)
    sys.exit(1 if found else 0)


def _show(found: list[Finding], situation: Situation, output: Output) -> None:
    for finding in found:
        output.say(f"{finding.kind}: {finding.problem}", "yellow")
        output.say(f"    -> {finding.remedy}")
    modes = ", ".join(situation.reading.plugins) or "none"
    service, _, port = situation.service
    what = f"service {service!r} on port {port}" if situation.registers else "a process that only looks"
    output.say(f"{len(found)} finding{'' if len(found) == 1 else 's'}: modes {modes}, {what}", "" if found else "green")
