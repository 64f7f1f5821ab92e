"""Registries that use a Nacos server, and services behind them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import attrs

from pydoudou import Registry, Settings

from .http_members import HttpMember
from .nacos_server import NacosServer, fresh_service
from .steady_caller import SteadyCaller
from .waiting import eventually

__all__ = ["Scene", "nacos_variables", "on_nacos", "scene"]


def nacos_variables(address: str, service: str = "", **variables: str) -> dict[str, str]:
    """The settings of a process that uses the server at ``host:port``, and registers `service` unless it is empty."""
    own = {
        "GDD_SERVICE_DISCOVERY_MODE": "nacos",
        "GDD_REGISTER_HOST": "127.0.0.1",
        "GDD_NACOS_SERVER_ADDR": ",".join(f"http://{each}/nacos" for each in address.split(",")),
    }
    return own | ({"GDD_SERVICE_NAME": service} if service else {}) | variables


def on_nacos(address: str, service: str = "", **variables: str) -> Registry:
    """Such a registry, not yet started."""
    settings = Settings.from_env(nacos_variables(address, service, **variables), register=bool(service))
    return Registry(settings)


@attrs.frozen
class Scene:
    """Two services, each an HTTP server with a registry of its own, and a process that only looks.

    Attributes:
        service: their name.
        addresses: where they are.
        looker: calls them through a balancer all the time; no call may fail.
    """

    service: str
    addresses: frozenset[str]
    registered: list[Registry]
    looker: Registry
    caller: SteadyCaller

    @property
    def seen(self) -> frozenset[str]:
        """Who is in the looker's view."""
        return frozenset(member.address for member in self.looker.members(self.service))

    def listed_by(self, server: NacosServer) -> frozenset[str]:
        """Who is in the server's list, of those that both generations of go-doudou find; nobody if it is down."""
        found = []
        for name in (self.service, f"{self.service}_rest"):
            with contextlib.suppress(OSError):
                found.append(frozenset(listed.address for listed in server.api.instances(name)))
        return found[0] & found[1] if len(found) == 2 else frozenset()

    def judging(self) -> bool:
        """Whether every driver is in touch with its server."""
        return all(registry.status().backends[0].judging for registry in (self.looker, *self.registered))


@contextlib.contextmanager
def scene(address: str, *, first_at: str = "", **variables: str) -> Iterator[Scene]:
    """The services registered at the server at `address`, seen by the one that looks, and called all the time.

    Args:
        first_at: where the first service reaches the server, if not there.
    """
    service = fresh_service()
    with contextlib.ExitStack() as stack:
        registries, addresses = [], set()
        for name in ("a", "b"):
            server = stack.enter_context(HttpMember(name))
            addresses.add(f"127.0.0.1:{server.port}")
            where = first_at if name == "a" and first_at else address
            registry = on_nacos(where, service, GDD_PORT=str(server.port), **variables)
            registries.append(stack.enter_context(registry))
        looker = stack.enter_context(on_nacos(address, **variables))
        eventually(lambda: {member.address for member in looker.members(service)} == addresses)
        caller = stack.enter_context(SteadyCaller(looker, service))
        yield Scene(service, frozenset(addresses), registries, looker, caller)
