"""Registries that gossip on loopback with intervals short enough for tests."""

from __future__ import annotations

import attrs

from pydoudou import Registry, Settings

__all__ = ["FAST_GOSSIP", "NEVER_SUSPECTED", "gossip_address", "gossip_nodes", "gossiping"]

FAST_GOSSIP = {
    "GDD_SERVICE_DISCOVERY_MODE": "memberlist",
    "GDD_REGISTER_HOST": "127.0.0.1",
    "GDD_MEM_HOST": "127.0.0.1",
    "GDD_MEM_BIND": "127.0.0.1",
    "GDD_MEM_PORT": "0",
    "GDD_MEM_PROBE_INTERVAL": "500ms",
    "GDD_MEM_PROBE_TIMEOUT": "200ms",
    "GDD_MEM_GOSSIP_INTERVAL": "50ms",
    "GDD_MEM_SUSPICION_MULT": "3",
    "GDD_MEM_TCP_TIMEOUT": "2s",
}
NEVER_SUSPECTED = {"GDD_MEM_PROBE_INTERVAL": "60s", "GDD_MEM_PROBE_TIMEOUT": "30s", "GDD_MEM_SYNC_INTERVAL": "60s"}
"""For who is to see a member go only because it said so, however slow the machine is."""


def gossiping(service: str = "", *, called: str = "", **variables: str) -> Registry:
    """A registry, not yet started, that registers `service`, or only looks without one.

    Args:
        called: the name of its node, which need not be one that ``GDD_MEM_NAME`` takes: other programs have any.
    """
    environment = FAST_GOSSIP | variables
    if service:
        environment["GDD_SERVICE_NAME"] = service
    settings = Settings.from_env(environment, register=bool(service))
    if called:
        gossip = settings.drivers["memberlist"]
        named = attrs.evolve(gossip, config=attrs.evolve(gossip.config, name=called))
        settings = attrs.evolve(settings, drivers={**settings.drivers, "memberlist": named})
    return Registry(settings)


def gossip_address(registry: Registry) -> str:
    """``host:port`` of a running registry's gossip node."""
    return registry.status().backends[0].driver.address


def gossip_nodes(registry: Registry) -> int:
    """How many live nodes a running registry sees, itself included."""
    return registry.status().backends[0].driver.nodes
