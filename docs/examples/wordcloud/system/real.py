"""The real parts: databases, a store, and what watches the system; each one only where its program is."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import attrs

from .parts import HERE, HOST, Part, PartFailed, free_port

__all__ = ["KINDS", "Kind"]

Begun = tuple[Part, dict[str, str]]
"""A part that is to be started, and the variables that tell the services of it."""

_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pydoudou"
_PEERS = Path(os.environ.get("PYDOUDOU_PEERS") or _CACHE / "peers")
_USER = "postgres"
_EVERY = "1s"


@attrs.frozen
class Kind:
    """A real part that there may be.

    Attributes:
        name: of the product.
        program: its file.
        instead: what the system does without it.
        remedy: how to get it.
        begin: makes it, given the path of the program and a folder for its data.
        module: what the services need to use it.
    """

    name: str
    program: str
    instead: str
    remedy: str
    begin: Callable[[Path, Path], Begun]
    module: str = ""

    def find(self) -> Path | None:
        """Where the program is: on PATH, where Debian keeps PostgreSQL, or where this project builds and unpacks."""
        found = shutil.which(self.program)
        if found is not None:
            return Path(found)
        kept = [
            *sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{self.program}"), reverse=True),
            _CACHE / "unpacked" / "usr" / "bin" / self.program,
            *sorted(_PEERS.glob(f"{self.program}-*/{self.program}")),
        ]
        return next((path for path in kept if os.access(path, os.X_OK)), None)

    def missing(self) -> str:
        """Why it cannot be used, what is done instead, and how to get it; empty if it can."""
        if self.find() is None:
            return f"{self.name} is not on this machine: {self.instead} instead. To have it: {self.remedy}"
        if self.module and not _is_installed(self.module):
            remedy = f"pip install -r {HERE / 'requirements-full.txt'}"
            return f"{self.name} needs the package of {self.module}: {self.instead} instead. To have it: {remedy}"
        return ""


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # of a package above it
        return False


def _postgresql(program: Path, folder: Path) -> Begun:
    """It is made at the first start.

    Raises:
        PartFailed: it cannot be made.
    """
    program = program.resolve()  # beside which its tools are
    folder.mkdir(exist_ok=True)
    as_user = []
    if os.geteuid() == 0:  # which PostgreSQL refuses
        try:
            shutil.chown(folder, _USER)
        except LookupError:
            raise PartFailed(f"PostgreSQL does not run as root, and there is no user {_USER}") from None
        # The folders above are root's, and may be closed to that user.
        capability = [f"--{kind}-caps=+dac_read_search" for kind in ("inh", "ambient")]
        as_user = ["setpriv", f"--reuid={_USER}", f"--regid={_USER}", "--clear-groups", *capability]
    data = folder / "data"
    if not (data / "PG_VERSION").exists():
        options = ["-A", "trust", "-U", "wordcloud", "--no-sync", "-E", "UTF8", "--locale=C.UTF-8"]
        made = subprocess.run(
            [*as_user, str(program.with_name("initdb")), "-D", str(data), *options],
            capture_output=True,
            text=True,
            cwd="/",
        )
        if made.returncode != 0:
            raise PartFailed(f"postgresql has no database: {made.stderr}")
    port = free_port()
    part = Part(
        "postgresql",
        [*as_user, str(program), "-D", str(data), "-p", str(port), "-h", HOST, "-k", "", "-c", "timezone=UTC"],
        folder.parent,
        port=port,
        probe=[str(program.with_name("pg_isready")), "-q", "-h", HOST, "-p", str(port)],
        ended_by=signal.SIGINT,  # by SIGTERM it waits for those that are connected
    )
    return part, {"BIZ_DB_URL": f"postgresql+psycopg://wordcloud@{HOST}:{port}/postgres"}


def _redis(program: Path, folder: Path) -> Begun:
    folder.mkdir(exist_ok=True)
    port = free_port()
    options = ["--bind", HOST, "--dir", str(folder), "--save", "", "--appendonly", "no", "--daemonize", "no"]
    part = Part("redis", [str(program), "--port", str(port), *options], folder.parent, port=port)
    return part, {"BIZ_REDIS_URL": f"redis://{HOST}:{port}/0"}


def _versitygw(program: Path, folder: Path) -> Begun:
    data, meta = folder / "data", folder / "meta"
    for made in (data, meta):
        made.mkdir(parents=True, exist_ok=True)
    port = free_port()
    options = ["--port", f"{HOST}:{port}", "--access", "testkey", "--secret", "testsecret", "--region", "us-east-1"]
    command = [str(program), *options, "--health", "/health", "posix", "--sidecar", str(meta), str(data)]
    part = Part("store", command, folder.parent, port=port, check="/health")
    return part, {"BIZ_OSS_ENDPOINT": f"http://{HOST}:{port}"}


def _jaeger(program: Path, folder: Path) -> Begun:
    port, otlp = free_port(), free_port()
    ports = {
        "query.http-server": port,
        "query.grpc-server": free_port(),
        "admin.http": free_port(),
        "collector.otlp.http": otlp,
        "collector.otlp.grpc": free_port(),
        "collector.http-server": 0,
        "collector.grpc-server": 0,
    }
    command = [str(program), *(f"--{name}.host-port={HOST}:{port}" for name, port in ports.items())]
    part = Part(
        "jaeger",
        [*command, "--collector.otlp.enabled=true", "--log-level=warn"],
        folder.parent,
        {"OTEL_TRACES_SAMPLER": "always_off", "SPAN_STORAGE_TYPE": "memory"},  # it would trace itself, too
        port,
        "/api/services",
    )
    return part, {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{HOST}:{otlp}"}


def _alertmanager(program: Path, folder: Path) -> Begun:
    folder.mkdir(exist_ok=True)
    port = free_port()
    config = folder / "alertmanager.yml"
    config.write_text(json.dumps({"route": {"receiver": "nobody"}, "receivers": [{"name": "nobody"}]}))
    (folder.parent / "alertmanagers.json").write_text(json.dumps([{"targets": [f"{HOST}:{port}"]}]))
    options = [f"--config.file={config}", f"--storage.path={folder}", f"--web.listen-address={HOST}:{port}"]
    command = [str(program), *options, "--cluster.listen-address=", "--log.level=warn"]
    return Part("alertmanager", command, folder.parent, port=port, check="/-/ready"), {}


def _prometheus(program: Path, folder: Path) -> Begun:
    """It reads its targets where the seed writes them."""
    folder.mkdir(exist_ok=True)
    port = free_port()
    job = {
        "job_name": "wordcloud",
        "metrics_path": "/go-doudou/prometheus",
        "basic_auth": {"username": "admin", "password": "admin"},
        "file_sd_configs": [{"files": [str(folder.parent / "targets.json")], "refresh_interval": _EVERY}],
    }
    found = {"files": [str(folder.parent / "alertmanagers.json")], "refresh_interval": _EVERY}
    config = folder / "prometheus.yml"
    config.write_text(
        json.dumps(
            {
                "global": {"scrape_interval": _EVERY, "scrape_timeout": _EVERY, "evaluation_interval": _EVERY},
                "rule_files": [str(HERE / "alerts.yml")],
                "alerting": {"alertmanagers": [{"file_sd_configs": [found]}]},
                "scrape_configs": [job],
            }
        )
    )
    options = [f"--config.file={config}", f"--storage.tsdb.path={folder / 'data'}", "--log.level=warn"]
    command = [str(program), *options, f"--web.listen-address={HOST}:{port}"]
    return Part("prometheus", command, folder.parent, port=port, check="/-/ready"), {}


KINDS = (
    Kind("PostgreSQL", "postgres", "a file of SQLite", "apt-get install postgresql", _postgresql, "psycopg"),
    Kind("Redis", "redis-server", "limits in memory", "apt-get install redis-server", _redis, "redis"),
    Kind(
        "versitygw",
        "versitygw",
        "moto's S3 server",
        "go install github.com/versity/versitygw/cmd/versitygw@v1.8.0",
        _versitygw,
    ),
    Kind("Jaeger", "jaeger", "no traces", "make peers", _jaeger, "opentelemetry.instrumentation.asgi"),
    Kind(
        "Alertmanager",
        "prometheus-alertmanager",
        "alerts shown by Prometheus alone",
        "apt-get install prometheus-alertmanager",
        _alertmanager,
    ),
    Kind("Prometheus", "prometheus", "no metrics kept", "apt-get install prometheus", _prometheus),
)
"""All of them, in the order in which they are started."""
