"""The variables of the Nacos driver: go-doudou's ``GDD_NACOS_*`` with its defaults, and what it lacks.

Ours are the credentials (``GDD_NACOS_USERNAME`` with ``GDD_NACOS_PASSWORD``, or ``GDD_NACOS_ACCESS_KEY`` with
``GDD_NACOS_SECRET_KEY``), ``GDD_NACOS_TLS`` and its files, ``GDD_NACOS_JOIN`` and ``GDD_NACOS_CHECK_INTERVAL``.
Different from go-doudou: the SDK writes files only where ``GDD_NACOS_LOG_DIR`` or ``GDD_NACOS_CACHE_DIR`` say so; it
logs only if one of ``GDD_NACOS_LOG_DIR`` and ``GDD_NACOS_LOG_LEVEL`` is set, for the driver itself tells what matters;
and its disk cache is never read: it would bring back the instances of yesterday.
"""

from __future__ import annotations

import enum
import ipaddress
import re
import sys
from pathlib import Path
from urllib.parse import urlsplit

import attrs

from ..environment import Environment
from ..errors import SettingsError
from ..kit.validation import Unusable, checked_host, printable
from ..members import JoinPolicy

__all__ = ["LogLevel", "NacosSettings", "Server", "TlsFiles", "read_settings"]

GRPC_PORT_OFFSET = 1000
"""A Nacos server speaks gRPC on this port above its HTTP port."""

_SERVERS = "GDD_NACOS_SERVER_ADDR"
_ACCEPTED_SERVERS = "a comma list of addresses such as http://10.0.0.1:8848/nacos or 10.0.0.1:8848"
_DEFAULT_PORT = 8848
_NAME = re.compile(r"[A-Za-z0-9.:_-]{1,128}")
_NAMESPACE = re.compile(r"[A-Za-z0-9_-]{1,128}")
_CLUSTER = re.compile(r"[A-Za-z0-9-]{1,64}")
_PATH = re.compile(r"[A-Za-z0-9._~/%-]*")
_NAMED_LIKE = {
    _NAME: "up to 128 letters, digits, '_', '-', '.', ':'",
    _NAMESPACE: "up to 128 letters, digits, '_', '-'",
    _CLUSTER: "up to 64 letters, digits, '-': Nacos takes no others in the name of a cluster",
}


class LogLevel(enum.StrEnum):
    """From which level on the SDK's log is kept."""

    DEBUG = "debug"
    INFO = "info"
    WARN = "warn"
    ERROR = "error"


@attrs.frozen
class Server:
    """One server: its host and its HTTP port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@attrs.frozen
class TlsFiles:
    """What TLS is done with; "" for what is not given."""

    ca: str = ""
    certificate: str = ""
    key: str = ""


@attrs.frozen
class NacosSettings:
    """What the variables say.

    Attributes:
        servers: the nodes of one Nacos cluster; any of them will do.
        scheme: of the servers' HTTP port, which is used for logging in only.
        context_path: what comes before every path there.
        request_timeout: seconds that one question to the server may take.
        log_dir: the folder for the SDK's log file; None passes what it logs on to Python's logging.
        log_level: from which level on the SDK logs; None for nothing.
        cache_dir: the folder for the SDK's cache; None writes none.
        check_interval: seconds within which it is noticed that the server has not what this process registered.
        tls: None for plain text.
    """

    servers: tuple[Server, ...]
    scheme: str = "http"
    context_path: str = "/nacos"
    namespace: str = "public"
    group: str = "DEFAULT_GROUP"
    cluster: str = "DEFAULT"
    request_timeout: float = 10.0
    username: str = ""
    password: str = attrs.field(default="", repr=False)
    access_key: str = ""
    secret_key: str = attrs.field(default="", repr=False)
    log_dir: str | None = None
    log_level: LogLevel | None = None
    cache_dir: str | None = None
    check_interval: float = 3.0
    join: JoinPolicy = JoinPolicy.RETRY
    tls: TlsFiles | None = None

    def check_folders(self) -> None:
        """Make the folder for the log, which only the start can know to be possible.

        Raises:
            SettingsError: it cannot be made.
        """
        if self.log_dir is None or self.log_level is None:
            return
        try:
            Path(self.log_dir).mkdir(parents=True, exist_ok=True)
        except (OSError, ValueError) as error:
            accepted = f"a folder that is there or can be made ({getattr(error, 'strerror', None) or error})"
            raise SettingsError(f"GDD_NACOS_LOG_DIR is {printable(self.log_dir)}; accepted: {accepted}") from error


def read_settings(environment: Environment) -> NacosSettings:
    """Read every variable of the driver; bad ones are recorded on `environment`."""
    _refuse_greenlets(environment)
    servers, scheme, context_path = _servers(environment)
    username, password = _pair(environment, "GDD_NACOS_USERNAME", "GDD_NACOS_PASSWORD")
    access_key, secret_key = _pair(environment, "GDD_NACOS_ACCESS_KEY", "GDD_NACOS_SECRET_KEY")
    for name in ("GDD_NACOS_NOTLOADCACHEATSTART", "GDD_NACOS_NOT_LOAD_CACHE_AT_START"):
        environment.flag(name, True)
    return NacosSettings(
        servers,
        scheme,
        context_path,
        namespace=_name(environment, "GDD_NACOS_NAMESPACE_ID", "public", _NAMESPACE),
        group=_name(environment, "GDD_NACOS_GROUP_NAME", "DEFAULT_GROUP", _NAME),
        cluster=_name(environment, "GDD_NACOS_CLUSTER_NAME", "DEFAULT", _CLUSTER),
        request_timeout=environment.duration("GDD_NACOS_TIMEOUT_MS", 10.0, bare_unit=1e-3),
        username=username,
        password=password,
        access_key=access_key,
        secret_key=secret_key,
        log_dir=environment.text("GDD_NACOS_LOG_DIR") or None,
        log_level=_log_level(environment),
        cache_dir=environment.text("GDD_NACOS_CACHE_DIR") or None,
        check_interval=environment.duration("GDD_NACOS_CHECK_INTERVAL", 3.0),
        join=environment.choice("GDD_NACOS_JOIN", JoinPolicy.RETRY),
        tls=_tls(environment, scheme),
    )


def _refuse_greenlets(environment: Environment) -> None:
    """The SDK needs a thread with an event loop of its own, and all greenlets are in one thread."""
    monkey = sys.modules.get("gevent.monkey")
    if monkey is not None and monkey.is_module_patched("threading"):
        environment.problem(
            "GDD_SERVICE_DISCOVERY_MODE",
            "other modes than nacos under gevent, unless that leaves threads alone: "
            "gevent.monkey.patch_all(thread=False)",
        )


def _log_level(environment: Environment) -> LogLevel | None:
    level = environment.choice("GDD_NACOS_LOG_LEVEL", LogLevel.WARN)
    asked = bool(environment.text("GDD_NACOS_LOG_LEVEL") or environment.text("GDD_NACOS_LOG_DIR"))
    discard = environment.flag("GDD_NACOS_LOG_DISCARD", False)
    return level if asked and not discard else None


def _servers(environment: Environment) -> tuple[tuple[Server, ...], str, str]:
    """The addresses, and the scheme and the context path that they share."""
    servers: list[Server] = []
    ways: dict[tuple[str, str], None] = {}
    for item in environment.items(_SERVERS):
        if "@" in item:
            environment.problem(_SERVERS, "addresses without a user; see GDD_NACOS_USERNAME", "(hidden)")
            continue
        try:
            parts = urlsplit(item if "://" in item else f"http://{item}")
            host, port = parts.hostname, _DEFAULT_PORT if parts.port is None else parts.port
        except ValueError as error:
            environment.problem(_SERVERS, f"{_ACCEPTED_SERVERS} ({printable(item)}: {error})")
            continue
        if parts.scheme not in ("http", "https") or not host or not port or parts.query or parts.fragment:
            environment.problem(_SERVERS, f"{_ACCEPTED_SERVERS} ({printable(item)} is none)")
        elif _is_ipv6(host):
            environment.problem(
                _SERVERS,
                f"IPv4 addresses or host names: nacos-sdk-python cannot read the IPv6 address in {printable(item)}",
            )
        elif not item.isprintable() or not _is_host(host) or not _PATH.fullmatch(parts.path):
            environment.problem(_SERVERS, f"{_ACCEPTED_SERVERS} ({printable(item)} is none)")
        elif port + GRPC_PORT_OFFSET > 65535:
            environment.problem(
                _SERVERS,
                f"ports up to {65535 - GRPC_PORT_OFFSET}: gRPC is {GRPC_PORT_OFFSET} above ({printable(item)})",
            )
        else:
            servers.append(Server(host, port))
            ways[parts.scheme, parts.path.rstrip("/") or "/nacos"] = None
    if not environment.items(_SERVERS):
        environment.problem(_SERVERS, _ACCEPTED_SERVERS)
    if len(ways) > 1:
        environment.problem(_SERVERS, "one cluster: the same scheme and the same context path for all addresses")
    scheme, context_path = next(iter(ways), ("http", "/nacos"))
    return tuple(dict.fromkeys(servers)), scheme, context_path


def _is_host(host: str) -> bool:
    try:
        checked_host(host)
    except Unusable:
        return False
    return True


def _is_ipv6(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).version == 6
    except ValueError:
        return False


def _name(environment: Environment, name: str, default: str, accepted: re.Pattern[str]) -> str:
    text = environment.text(name, default)
    if not accepted.fullmatch(text):
        environment.problem(name, _NAMED_LIKE[accepted])
    return text


def _pair(environment: Environment, public: str, secret: str) -> tuple[str, str]:
    """Two variables of which both or none are set; the secret is never shown."""
    first, second = environment.text(public), environment.text(secret)
    if first and not second:
        environment.problem(secret, f"a value, because {public} is set")
    elif second and not first:
        environment.problem(public, f"a value, because {secret} is set")
    return first, second


def _tls(environment: Environment, scheme: str) -> TlsFiles | None:
    variables = {
        "ca": "GDD_NACOS_TLS_CA_FILE",
        "certificate": "GDD_NACOS_TLS_CERT_FILE",
        "key": "GDD_NACOS_TLS_KEY_FILE",
    }
    paths = {field: environment.text(name) for field, name in variables.items()}
    if not environment.flag("GDD_NACOS_TLS", scheme == "https" or any(paths.values())):
        return None
    for field, path in paths.items():
        if path and not _is_file(path):
            environment.problem(variables[field], "a file that can be read, in PEM format")
    if bool(paths["certificate"]) != bool(paths["key"]):
        missing = variables["key" if paths["certificate"] else "certificate"]
        environment.problem(missing, "a file: a client certificate and its key go together")
    return TlsFiles(**paths)


def _is_file(path: str) -> bool:
    try:
        return Path(path).is_file()
    except OSError:  # the name is too long, or a folder above may not be entered
        return False
