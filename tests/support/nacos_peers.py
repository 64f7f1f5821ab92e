"""Services on the official Java and Go clients of Nacos, as processes that are driven over their standard input and
output."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from .driven import Driven
from .nacos_api import Listed
from .peers import locate

__all__ = ["Change", "NacosPeer"]

_GROUP = "DEFAULT_GROUP"


@attrs.frozen
class Change:
    """What a client told its subscriber.

    Attributes:
        at: Unix time, taken in the client's process.
        instances: all instances of the service, by address.
    """

    at: float
    instances: tuple[Listed, ...]

    @property
    def addresses(self) -> set[str]:
        """``ip:port`` of each."""
        return {listed.address for listed in self.instances}


class NacosPeer(Driven):
    """A running client.

    Args:
        kind: ``java`` or ``go``.
        directory: where the client keeps its logs and caches.
        server: ``host:port`` of a server, or of several, comma-separated.
        user: name and password.
        enter: what to put before the command, to run it in a network namespace.
    """

    def __init__(
        self,
        kind: str,
        directory: Path,
        server: str,
        *,
        namespace: str = "",
        user: tuple[str, str] | None = None,
        enter: Sequence[str] = (),
    ) -> None:
        options = {"server": server}
        options |= {"namespace": namespace} if namespace else {}
        options |= dict(zip(("user", "password"), user, strict=True)) if user else {}
        peer = str(locate(f"nacos-{kind}") / "peer")
        directory.mkdir(parents=True, exist_ok=True)
        super().__init__(f"the {kind} client", [*enter, peer, str(directory), json.dumps(options)])
        try:
            self.wait("ready", lambda event: event["event"] == "ready", timeout=30)
        except BaseException:
            self.close()
            raise

    def register(
        self,
        service: str,
        address: str,
        *,
        weight: float = 1.0,
        metadata: Mapping[str, str] | None = None,
        group: str = _GROUP,
        cluster: str = "DEFAULT",
        ephemeral: bool = True,
    ) -> float:
        """Register the instance of a service at ``ip:port``. Of each service a client has one instance at most.

        Returns:
            Unix time just before.

        Raises:
            AssertionError: it failed, or did not answer in time.
        """
        described = {"weight": weight, "metadata": dict(metadata or {}), "ephemeral": ephemeral}
        return self._command("register", service, group, cluster=cluster, **_parts(address), **described)

    def update(
        self,
        service: str,
        address: str,
        *,
        weight: float = 1.0,
        metadata: Mapping[str, str] | None = None,
        group: str = _GROUP,
        cluster: str = "DEFAULT",
        enabled: bool = True,
    ) -> float:
        """Replace what is registered, all of it; else as `register`."""
        described = {"weight": weight, "metadata": dict(metadata or {}), "enabled": enabled}
        return self._command("update", service, group, cluster=cluster, **_parts(address), **described)

    def deregister(
        self, service: str, address: str, *, group: str = _GROUP, cluster: str = "DEFAULT", ephemeral: bool = True
    ) -> float:
        """Take it back; else as `register`."""
        return self._command("deregister", service, group, cluster=cluster, **_parts(address), ephemeral=ephemeral)

    def subscribe(self, service: str, *, group: str = _GROUP) -> float:
        """Be told of changes, see `changes` and `wait_for`; else as `register`."""
        return self._command("subscribe", service, group)

    def _command(self, name: str, service: str, group: str, **fields: Any) -> float:
        began = time.time()
        self.ask(json.dumps({"cmd": name, "service": service, "group": group, **fields}), name)
        return began

    def list(self, service: str, *, group: str = _GROUP) -> tuple[Listed, ...]:
        """The instances by address: with Java what the server answers now, with Go what the client knows, which asks
        the server once and then relies on what it is told."""
        return _listed(self.ask(json.dumps({"cmd": "list", "service": service, "group": group}), "list"))

    def changes(self, service: str, *, group: str = _GROUP) -> tuple[Change, ...]:
        """All that the client told its subscriber so far."""
        return tuple(map(_change, filter(_about(service, group), self.events("instances"))))

    def wait_for(
        self,
        service: str,
        matches: Callable[[Change], object],
        *,
        group: str = _GROUP,
        since: float = 0.0,
        timeout: float = 10.0,
    ) -> Change:
        """The first change from the Unix time `since` on of which `matches` holds; waits for it.

        Raises:
            AssertionError: it does not come in time, or the process ends before it does.
        """
        about = _about(service, group)
        return _change(
            self.wait(
                f"such change of {service}",
                lambda event: about(event) and event["ts"] >= since and matches(_change(event)),
                timeout=timeout,
            )
        )


def _parts(address: str) -> dict[str, Any]:
    ip, port = address.rsplit(":", 1)
    return {"ip": ip, "port": int(port)}


def _about(service: str, group: str) -> Callable[[dict[str, Any]], bool]:
    wanted = {"event": "instances", "service": service, "group": group}.items()
    return lambda event: wanted <= event.items()


def _listed(event: dict[str, Any]) -> tuple[Listed, ...]:
    return tuple(sorted(map(Listed.from_json, event["instances"]), key=lambda listed: listed.address))


def _change(event: dict[str, Any]) -> Change:
    return Change(event["ts"], _listed(event))
