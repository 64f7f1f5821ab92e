"""Do the Nacos servers answer, do they take the login, and may this user read; and, if that is asked for, write?"""

from __future__ import annotations

import email.utils
import os
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator

import attrs

import pydoudou

from ....drivers.errors import DiscoveryError
from ....drivers.nacos.settings import GRPC_PORT_OFFSET, NacosSettings, Server
from ..arrivals import wait_for_members
from .situation import Finding, Situation

__all__ = ["look_at_nacos"]

_OUT_OF_REACH = frozenset({"nacos-grpc", "nacos-http", "nacos-name", "nacos-unreachable"})
_WITHIN = 2.0
_READY_WITHIN = 6.0
_ASK_AGAIN = 0.1
_CLOCKS_APART = 30.0
_REFUSALS = ("user", "password", "credential", "login", "401", "403", "forbidden", "denied", "permission", "token")


def look_at_nacos(situation: Situation) -> Iterator[Finding]:
    """Every server; and what a process sees that connects to look."""
    settings = situation.nacos
    if settings is None:
        return
    reached = False
    for server in settings.servers:
        problems = list(_look_at(server, settings))
        yield from problems
        reached |= not {problem.kind for problem in problems} & _OUT_OF_REACH
    if reached:
        yield from _look_inside(situation, settings)


def _look_at(server: Server, settings: NacosSettings) -> Iterator[Finding]:
    try:
        socket.getaddrinfo(server.host, server.port)
    except (OSError, UnicodeError) as error:
        yield Finding(
            "nacos-name",
            f"the Nacos server {server.host} has no address: {getattr(error, 'strerror', None) or error}",
            "correct GDD_NACOS_SERVER_ADDR; names of Compose and Kubernetes exist only inside of their network",
        )
        return
    grpc = Server(server.host, server.port + GRPC_PORT_OFFSET)
    http_problem, grpc_problem = _dialled(server), _dialled(grpc)
    if http_problem and grpc_problem:
        yield Finding(
            "nacos-unreachable",
            f"the Nacos server {server} cannot be reached: {grpc_problem}",
            "start it, correct GDD_NACOS_SERVER_ADDR, or let TCP pass a firewall",
        )
    elif grpc_problem:
        yield Finding(
            "nacos-grpc",
            f"the Nacos server {server} listens, and its gRPC port {grpc.port} cannot be reached: {grpc_problem}",
            f"let TCP port {grpc.port} pass, always {GRPC_PORT_OFFSET} above the HTTP port; Nacos 1, "
            "which has none, is too old",
        )
    elif http_problem and settings.username:
        yield Finding(
            "nacos-http",
            f"GDD_NACOS_USERNAME is set, and the HTTP port of {server}, where one logs in, cannot be reached: "
            f"{http_problem}",
            f"let TCP port {server.port} pass as well as {grpc.port}",
        )
    if not http_problem:
        yield from _clocks_apart(server, settings)


def _dialled(server: Server) -> str:
    """Why it cannot be connected to, "" if it can."""
    try:
        socket.create_connection((server.host, server.port), _WITHIN).close()
    except OSError as error:
        return error.strerror or str(error) or "no connection in time"
    return ""


def _clocks_apart(server: Server, settings: NacosSettings) -> Iterator[Finding]:
    """What a web server says of the time comes with every answer."""
    if settings.scheme != "http":
        return
    try:
        with urllib.request.urlopen(f"http://{server}{settings.context_path}/", timeout=_WITHIN) as answer:
            said = answer.headers.get("Date")
    except urllib.error.HTTPError as error:
        said = error.headers.get("Date")
        error.close()
    except OSError:
        return
    moment = email.utils.parsedate_to_datetime(said).timestamp() if said else time.time()
    if abs(ahead := time.time() - moment) > _CLOCKS_APART:
        yield Finding(
            "clock",
            f"the clock of this machine is {abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} that of the "
            f"Nacos server {server}",
            "have both kept by NTP: tokens and signatures are refused by clocks that differ",
        )


def _look_inside(situation: Situation, settings: NacosSettings) -> Iterator[Finding]:
    variables = dict(situation.values) | {"GDD_SERVICE_DISCOVERY_MODE": "nacos", "GDD_NACOS_JOIN": ""}
    try:
        looking = pydoudou.Settings.from_env(variables, register=False)
    except DiscoveryError:
        return  # what is wrong with the variables is a finding of `variables`
    try:
        with pydoudou.Registry(looking) as registry:
            yield from _seen(registry, situation.service[0], settings)
    except DiscoveryError as error:
        yield _refused(str(error), settings)
        return
    if situation.writes:
        yield from _write(variables, settings)


def _write(variables: dict[str, str], settings: NacosSettings) -> Iterator[Finding]:
    """Whether it may register: an instance of a service that has a name of its own, which goes with the connection, and
    at the latest when the server misses that. Nacos drops a service without instances by itself.
    """
    own = variables | {"GDD_SERVICE_NAME": f"pydoudou-doctor-{os.urandom(4).hex()}", "GDD_WEIGHT": ""}
    try:
        registering = pydoudou.Settings.from_env(own, register=True)
        with pydoudou.Registry(attrs.evolve(registering, leave_on_sigterm=False)) as registry:
            _wait_until_ready(registry)
            problem = "" if registry.status().ready else registry.status().backends[0].driver.message
    except DiscoveryError as error:
        problem = str(error)
    if problem:
        yield Finding(
            "nacos-write",
            f"the Nacos server lets {_who(settings)} read, and not register in the namespace {settings.namespace!r}: "
            f"{problem}",
            "give the user of GDD_NACOS_USERNAME a role with rights to write there; one that only looks needs none",
        )


def _wait_until_ready(registry: pydoudou.Registry) -> None:
    """As long as a server may take that works on it."""
    over = time.monotonic() + _READY_WITHIN
    while not registry.status().ready and time.monotonic() < over:
        time.sleep(_ASK_AGAIN)


def _seen(registry: pydoudou.Registry, service: str, settings: NacosSettings) -> Iterator[Finding]:
    """What a process sees that has connected, or tries to."""
    _wait_until_ready(registry)
    message = registry.status().backends[0].driver.message
    if not registry.status().ready:
        refused = any(word in message.lower() for word in _REFUSALS)
        yield (
            _refused(message, settings)
            if refused
            else Finding(
                "nacos-unusable",
                f"the Nacos server is reached and gives no session: {message}",
                "it has to be Nacos 2 or 3; the message and the server's own log say more",
            )
        )
        return
    wait_for_members(registry, service or None, _WITHIN)
    backend = registry.status().backends[0]
    if backend.subscription_errors or backend.driver.gauges.get("services_refused", 0):
        yield _refused(f"it does not tell who offers services ({backend.driver.message})", settings)


def _refused(message: str, settings: NacosSettings) -> Finding:
    """The server understands, and does not want to."""
    if "log in" in message or not settings.username:
        return Finding(
            "nacos-login",
            f"the Nacos server refuses {_who(settings)}: {message}",
            "set GDD_NACOS_USERNAME and GDD_NACOS_PASSWORD to a user of that server",
        )
    return Finding(
        "nacos-rights",
        f"the Nacos server lets the user {settings.username!r} log in, and not read the services of the namespace "
        f"{settings.namespace!r}: {message}",
        "give the user of GDD_NACOS_USERNAME a role with rights to read and write there, or set GDD_NACOS_NAMESPACE_ID",
    )


def _who(settings: NacosSettings) -> str:
    return f"the user {settings.username!r}" if settings.username else "a client without a login"
