"""What a doctor finds, without starting a process for it."""

from __future__ import annotations

from collections.abc import Sequence

from pydoudou.contrib.cli.doctor.command import CHECKS
from pydoudou.contrib.cli.doctor.running import findings_of
from pydoudou.contrib.cli.doctor.situation import Finding, Situation
from pydoudou.discovery.configuration.sources import ENVIRONMENT, Configuration, Source

from .gossip import FAST_GOSSIP

__all__ = ["looked", "only", "situation"]


def situation(*, writes: bool = False, **variables: str) -> Situation:
    """That of a process with these variables."""
    return Situation.of(Configuration((Source(ENVIRONMENT, variables),)), writes=writes)


def looked(*, writes: bool = False, **variables: str) -> list[Finding]:
    """What is found with these settings, of a service that would be registered as ``carts``."""
    settings = {"GDD_SERVICE_NAME": "carts", "GDD_PORT": "6063", **FAST_GOSSIP, **variables}
    return findings_of(CHECKS, situation(writes=writes, **settings))


def only(found: Sequence[Finding]) -> Finding:
    """The one finding that there is."""
    (finding,) = found
    return finding
