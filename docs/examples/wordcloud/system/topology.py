"""Which processes there are, and what each is told: the variables of the original's Compose file."""

from __future__ import annotations

import json
import os
import socket
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import attrs

from .parts import HOST, Part, free_port, get
from .real import KINDS

__all__ = ["SERVICES", "System"]

SERVICES = {"usersvc": "USERSVC", "tasksvc": "WORDCLOUDTASK", "segsvc": "WORDCLOUDSEG", "makersvc": "WORDCLOUDMAKER"}
"""The services behind bff, and the variables that have their addresses in the mode mono."""
_SCRIPTS = Path(sysconfig.get_path("scripts"))


@attrs.define
class System:
    """All parts, in the order in which they are started.

    Args:
        folder: for logs and data.
        discovery: the backends, such as ``memberlist`` or ``memberlist,nacos``; ``mono`` for none.
        scale: how many processes of a service there are; 1 of those that are not named.
        tell: is told what is being started, and what is not there.
        full: real parts instead of embedded ones, as far as this machine has them.
        port: where bff listens, if nobody else does at the start; 0 for any.
    """

    folder: Path
    discovery: str = "memberlist"
    scale: dict[str, int] = attrs.field(factory=dict)
    tell: Callable[[str], None] = lambda line: None
    full: bool = False
    port: int = 6060
    parts: list[Part] = attrs.field(factory=list)
    shared: dict[str, str] = attrs.field(factory=dict)
    behind: list[Part] = attrs.field(factory=list)
    bff: Part | None = None

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://{HOST}:{self.bff.port if self.bff else 0}/"

    def start(self) -> None:
        """Start everything, and wait until bff sees everybody.

        Raises:
            PartFailed: a part does not answer.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        self._common()
        if self.full:
            self._add_real()
        if "BIZ_OSS_ENDPOINT" not in self.shared:
            self._add_store()
        self.shared.setdefault("BIZ_DB_URL", f"sqlite:///{self.folder / 'wordcloud.db'}")
        if self.discovery != "mono":
            self._add_seed()
        self._wait(self.parts)
        behind = [self._service(name, number) for name in SERVICES for number in range(self.scale.get(name, 1))]
        self.behind = behind
        if self.discovery == "mono":
            for part, variable in zip(behind, SERVICES.values(), strict=False):
                self.shared[variable] = f"http://{HOST}:{part.port}"
        self._wait(behind[:1])  # it makes the tables
        self._wait(behind[1:])
        self.bff = self._service("bff", 0, self.port)
        self._wait([self.bff])

    def stop(self) -> None:
        """Stop everything, bff first and what all use last: nobody is called any more who has gone."""
        used = [part for part in self.parts if part is not self.bff and part not in self.behind]
        for group in ([self.bff] if self.bff else [], self.behind, used):
            for part in group:
                part.tell_to_stop()
            for part in group:
                part.stop()

    def members(self) -> dict[str, int]:
        """How many members of each service bff sees."""
        rows = json.loads(get(f"{self.url}go-doudou/registry.json"))["rows"]
        seen: dict[str, int] = {}
        for row in rows:
            if row["state"] == "up":
                seen[row["svcName"]] = seen.get(row["svcName"], 0) + 1
        return seen

    # -- the parts -----------------------------------------------------------------------------------------------------

    def _common(self) -> None:
        self.shared = {
            "GDD_ENV": "test",
            "GDD_MODE": "mono" if self.discovery == "mono" else "micro",
            "GDD_REGISTER_HOST": HOST,
            "GDD_MANAGE_USER": "admin",
            "GDD_MANAGE_PASS": "admin",
            "GDD_MEM_HOST": HOST,
            "GDD_MEM_BIND": HOST,
            "GDD_MEM_PORT": "0",
            "GDD_MEM_SUSPICION_MULT": os.environ.get("GDD_MEM_SUSPICION_MULT", "12"),
            "GDD_MEM_CIDRS_ALLOWED": f"{HOST}/8",
            "PYTHONUNBUFFERED": "1",
        }
        if self.discovery != "mono":
            self.shared["GDD_SERVICE_DISCOVERY_MODE"] = self.discovery

    def _add_real(self) -> None:
        for kind in KINDS:
            program, missing = kind.find(), kind.missing()
            if program is None or missing:
                self.tell(missing)
                continue
            part, variables = kind.begin(program, self.folder / kind.program)
            self.parts.append(part)
            self.shared |= variables

    def _add_store(self) -> None:
        port = free_port()
        command = [_script("moto_server"), "-H", HOST, "-p", str(port)]
        self.parts.append(Part("store", command, self.folder, port=port, check="/moto-api/"))
        self.shared["BIZ_OSS_ENDPOINT"] = f"http://{HOST}:{port}"

    def _add_seed(self) -> None:
        """As in the original, the seed is the node that tells Prometheus its targets."""
        port = str(free_port())
        command = [_script("pydoudou"), "sd", "--out", str(self.folder / "targets.json")]
        variables = {**self.shared, "GDD_MEM_NAME": "prometheus", "GDD_MEM_PORT": port}
        self.parts.append(Part("prometheus-sd", command, self.folder, variables))
        self.shared["GDD_MEM_SEED"] = f"{HOST}:{port}"

    def _service(self, name: str, number: int, wanted_port: int = 0) -> Part:
        port = wanted_port if wanted_port and _is_free(wanted_port) else free_port()
        part = Part(
            f"{name}-{number + 1}" if self.scale.get(name, 1) > 1 else name,
            [
                *(sys.executable, "-m", "uvicorn", f"wordcloud_app.{name}:app", "--host", HOST, "--port", str(port)),
                *("--log-level", "warning", "--timeout-graceful-shutdown", "5"),
            ],
            self.folder,
            port=port,
            check="/healthz",
        )
        self.parts.append(part)
        return part

    def _wait(self, parts: list[Part]) -> None:
        for part in parts:
            if not part.variables:
                name = part.name.partition("-")[0]
                part.variables = {**self.shared, "GDD_PORT": str(part.port), "GDD_SERVICE_NAME": f"wordcloud-{name}"}
            self.tell(f"starting {part.name}")
            part.start()
        for part in parts:
            part.wait()


def _script(name: str) -> str:
    return str(_SCRIPTS / name)


def _is_free(port: int) -> bool:
    try:
        socket.create_server((HOST, port)).close()
    except OSError:
        return False
    return True


def needs_nacos(discovery: str) -> bool:
    """Whether a server has to be named."""
    return "nacos" in discovery and not os.environ.get("GDD_NACOS_SERVER_ADDR")
