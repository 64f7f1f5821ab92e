"""The Compose file of the word cloud system is what Compose accepts, and says what its programs read and serve."""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import Any
from urllib.parse import urlsplit

import pytest
from support.manifests import checked, read, understood
from support.wordcloud import HERE

SECRETS = dict.fromkeys(
    (
        "GDD_MANAGE_PASS",
        "BIZ_OSS_KEY",
        "BIZ_OSS_SECRET",
        "BIZ_FIRST_USER",
        "BIZ_FIRST_PASSWORD",
        "BIZ_JWT_SECRET",
        "POSTGRES_PASSWORD",
        "GF_SECURITY_ADMIN_PASSWORD",
    ),
    "given",
)
APPS = ("bff", "usersvc", "tasksvc", "segsvc", "makersvc")
ADDRESS = "172.28.0.2"
"""One of a container."""
OF_IMAGES = {"postgres": {5432}, "redis": {6379}, "jaeger": {4318, 16686}, "prometheus": {9090}, "grafana": {3000}}
"""The ports that programs of others listen on by themselves."""


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    found: dict[str, Any] = understood("compose", HERE / "compose.yml", **SECRETS)["services"]
    return found


def served(services: dict[str, Any]) -> dict[str, set[int]]:
    """The TCP ports that each service listens on."""
    ports = dict(OF_IMAGES)
    for name, service in services.items():
        words = service.get("command") or []
        if "--port" in words:
            ports[name] = {int(words[words.index("--port") + 1].removeprefix(":"))}
        gossip = service.get("environment", {}).get("GDD_MEM_PORT")
        if gossip:
            ports.setdefault(name, set()).add(int(gossip))
    return ports


@pytest.mark.parametrize("name", SECRETS)
def test_no_password_has_a_default(name: str) -> None:
    for given in ({}, {name: ""}):
        refused = read("compose", HERE / "compose.yml", **{key: "x" for key in SECRETS if key != name}, **given)
        assert (refused.returncode, name in refused.stderr) == (1, True), refused.stderr


def test_every_variable_is_read(services: dict[str, Any]) -> None:
    sources = "\n".join(file.read_text("utf-8") for file in (HERE / "wordcloud_app").glob("*.py"))
    registered = {}
    for name in (*APPS, "prometheus-sd"):
        variables: dict[str, str] = services[name]["environment"]
        ours = {key: value for key, value in variables.items() if key != "GDD_MODE"}  # of the example alone
        settings = checked({**ours, "GDD_MEM_HOST": ADDRESS})
        assert settings.drivers["memberlist"].seeds == (("prometheus-sd", 7946),)
        assert all(f'"{key}"' in sources for key in variables if key not in ours or not key.startswith("GDD_"))
        if settings.register:
            registered[name] = (settings.service_name, settings.port)
    assert registered == {name: (f"wordcloud-{name}", 6060) for name in APPS}


def test_every_port_is_served(services: dict[str, Any]) -> None:
    ports = served(services)
    for name, service in services.items():
        for published in service.get("ports") or []:
            assert published["target"] in ports[name]
            assert name == "bff" or published["host_ip"] == "127.0.0.1", f"{name} asks nobody for a password"
        variables = service.get("environment") or {}
        if "GDD_PORT" in variables:
            assert int(variables["GDD_PORT"]) in ports[name]
        for value in variables.values():
            if "://" in value:
                url = urlsplit(value)
                assert url.port in ports[str(url.hostname)], value
    dashboard_reads = re.findall(r"http://(\w+):(\d+)", (HERE / "compose.yml").read_text("utf-8"))
    assert all(int(port) in ports[host] for host, port in dashboard_reads if host in ports)


def test_the_image_has_what_the_commands_need(services: dict[str, Any]) -> None:
    dockerfile = (HERE / "Dockerfile").read_text("utf-8")
    for copied in re.findall(r"^COPY (?!--from)(.*) \S+$", dockerfile, re.MULTILINE):
        assert all((HERE / name).exists() for name in copied.split())
    for name in APPS:
        module = services[name]["command"][1].partition(":")[0]
        assert (HERE / f"{module.replace('.', '/')}.py").is_file()
        assert int(services[name]["stop_grace_period"].removesuffix("s")) >= 20
    for service in services.values():
        target = (service.get("build") or {}).get("target")
        assert target is None or f" AS {target}\n" in dockerfile
        for volume in service.get("volumes") or []:
            assert volume["type"] == "volume" or (HERE / volume["source"]).is_file()


def test_prometheus_takes_its_configuration() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("there is no promtool on this machine: apt-get install prometheus")
    subprocess.run([promtool, "check", "config", HERE / "prometheus.yml"], capture_output=True, check=True)
