"""The word cloud system's files for Compose and Kubernetes are accepted, and say what its programs read and serve."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from support.manifests import checked, read, understood
from support.wordcloud import HERE, SECRETS, skip_without

from pydoudou import Settings

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


def all_read(variables: Mapping[str, str]) -> Settings:
    """The settings of a service; fails the test where something is among its variables that nobody reads."""
    sources = "\n".join(file.read_text("utf-8") for file in (HERE / "wordcloud_app").glob("*.py"))
    own = {name for name in variables if name == "GDD_MODE" or not name.startswith("GDD_")}
    into_others = set(re.findall(r"\$\((\w+)\)", " ".join(variables.values())))
    assert [name for name in own - into_others if f'"{name}"' not in sources] == []
    return checked({name: text for name, text in variables.items() if name not in own})


STARTER = """
import importlib, json, os, sys
import boto3, fastapi, sqlalchemy, wordcloud  # once for all
for name, variables in json.load(sys.stdin):
    if os.fork() == 0:
        os.environ.update(variables)
        try:
            importlib.import_module(f"wordcloud_app.{name}")
        except SystemExit as refused:
            print(refused, flush=True)
        else:
            print("starts", flush=True)
        os._exit(0)
    os.wait()
"""
"""Loads programs, each with its variables, and prints a line for each: why it does not start, or that it does."""


def start(programs: Sequence[tuple[str, Mapping[str, str]]], folder: Path) -> list[str]:
    """What becomes of programs with their variables, on a host that others reach; their database is a file."""
    skip_without()
    clean = {key: text for key, text in os.environ.items() if not key.startswith(("GDD_", "BIZ_"))}
    here = {"GDD_REGISTER_HOST": ADDRESS, "GDD_MEM_HOST": ADDRESS, "OTEL_EXPORTER_OTLP_ENDPOINT": ""}
    here["BIZ_DB_URL"] = f"sqlite:///{folder / 'wordcloud.db'}"
    given = json.dumps([(name, {**own, **here}) for name, own in programs])
    command = [sys.executable, "-c", STARTER]
    done = subprocess.run(command, input=given, cwd=HERE, env=clean, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == len(programs), done.stderr
    return lines


# -- Compose -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SECRETS)
def test_no_password_has_a_default(name: str) -> None:
    for given in ({}, {name: ""}):
        refused = read("compose", HERE / "compose.yml", **{key: "x" for key in SECRETS if key != name}, **given)
        assert (refused.returncode, name in refused.stderr) == (1, True), refused.stderr


def test_every_variable_is_read(services: dict[str, Any]) -> None:
    registered = {}
    for name in (*APPS, "prometheus-sd"):
        variables: dict[str, str] = services[name]["environment"]
        settings = all_read({**variables, "GDD_MEM_HOST": ADDRESS})
        assert settings.drivers["memberlist"].seeds == (("prometheus-sd", 7946),)
        if settings.register:
            registered[name] = (settings.service_name, settings.port)
    assert registered == {name: (f"wordcloud-{name}", 6060) for name in APPS}


def test_every_program_is_told_all_it_needs(services: dict[str, Any], tmp_path: Path) -> None:
    assert start([(name, services[name]["environment"]) for name in APPS], tmp_path) == ["starts"] * len(APPS)


def test_a_program_that_others_reach_has_no_default_secret(services: dict[str, Any], tmp_path: Path) -> None:
    variables = services["usersvc"]["environment"]
    secrets = [name for name in SECRETS if name in variables and name.startswith("BIZ_")]
    assert len(secrets) == 5
    without = [("usersvc", {key: text for key, text in variables.items() if key != name}) for name in secrets]
    refused = start(without, tmp_path)
    assert [line.partition(": ")[0] for line in refused] == [f"{name} must be set" for name in secrets]


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


# -- Kubernetes --------------------------------------------------------------------------------------------------------

MANIFESTS = sorted((HERE / "kubernetes").iterdir())
Object = dict[str, Any]


@pytest.fixture(scope="module")
def objects() -> dict[tuple[str, str], Object]:
    """All objects of all manifests, by kind and name."""
    found = [one for file in MANIFESTS for one in understood("kubernetes", file)]
    assert len({(one["kind"], one["metadata"]["name"]) for one in found}) == len(found)
    return {(one["kind"], one["metadata"]["name"]): one for one in found}


def pods(objects: dict[tuple[str, str], Object]) -> dict[str, Object]:
    """The pod of each Deployment and StatefulSet, by its name."""
    return {
        name: one["spec"]["template"] for (kind, name), one in objects.items() if kind in ("Deployment", "StatefulSet")
    }


def containers(objects: dict[tuple[str, str], Object]) -> dict[str, Object]:
    """All containers by name, but for those that end before the others begin."""
    return {one["name"]: one for pod in pods(objects).values() for one in pod["spec"]["containers"]}


def given(container: Object) -> dict[str, str]:
    """Its variables: secrets are what they are in the other tests, and its address is one of a container."""
    found = {}
    for one in container.get("env") or []:
        source = one.get("valueFrom") or {}
        if "secretKeyRef" in source:
            assert source["secretKeyRef"]["name"] == "wordcloud"
            found[one["name"]] = SECRETS[source["secretKeyRef"]["key"]]
        elif "fieldRef" in source:
            assert source["fieldRef"]["fieldPath"] == "status.podIP"
            found[one["name"]] = ADDRESS
        else:
            found[one["name"]] = one["value"]
    return found


def opened(container: Object) -> set[tuple[int, str]]:
    """The ports that it says it has."""
    return {(port["containerPort"], port.get("protocol", "TCP")) for port in container.get("ports") or []}


def reached(objects: dict[tuple[str, str], Object], service: str) -> Object:
    """The pod that a Service leads to."""
    selector = objects["Service", service]["spec"]["selector"]
    (pod,) = (one for one in pods(objects).values() if selector.items() <= one["metadata"]["labels"].items())
    return pod


def test_every_secret_is_asked_for_and_none_has_a_default(objects: dict[tuple[str, str], Object]) -> None:
    secret = objects["Secret", "wordcloud"]["stringData"]
    assert set(secret.values()) == {""}
    text = json.dumps(list(pods(objects).values()))
    asked = set(re.findall(r'"secretKeyRef": \{"name": "wordcloud", "key": "(\w+)"', text))
    asked |= {item["key"] for item in pods(objects)["prometheus"]["spec"]["volumes"][-1]["secret"]["items"]}
    assert asked == set(secret)


def test_a_pod_is_told_all_it_needs_and_nothing_that_nobody_reads(
    objects: dict[tuple[str, str], Object], tmp_path: Path
) -> None:
    for name in APPS:
        settings = all_read(given(containers(objects)[name]))
        assert settings.drivers["memberlist"].seeds == (("prometheus-0.gossip", 7946),)
        assert (settings.service_name, settings.port) == (f"wordcloud-{name}", 6060)
        assert pods(objects)[name]["spec"]["terminationGracePeriodSeconds"] >= 2 * settings.drain_time
    programs = [(name, given(containers(objects)[name])) for name in APPS]
    assert start(programs, tmp_path) == ["starts"] * len(APPS)


def test_the_seed_has_a_name_before_it_is_ready(objects: dict[tuple[str, str], Object]) -> None:
    headless, seeds = objects["Service", "gossip"]["spec"], objects["StatefulSet", "prometheus"]["spec"]
    assert headless["clusterIP"] == "None"
    assert headless["publishNotReadyAddresses"] is True
    assert (seeds["serviceName"], seeds["replicas"]) == ("gossip", 1)
    assert reached(objects, "gossip") == seeds["template"]
    variables = given(containers(objects)["seed"])
    assert variables["GDD_MEM_HOST"] == ".gossip.default.svc.cluster.local"
    settings = checked({**variables, "GDD_MEM_HOST": ADDRESS})
    assert not settings.register


def test_every_container_is_asked_whether_it_is_ready_at_a_port_that_it_has(
    objects: dict[tuple[str, str], Object],
) -> None:
    for container in containers(objects).values():
        probe = container["readinessProbe"]
        if "exec" in probe:
            continue
        port = (probe.get("httpGet") or probe["tcpSocket"])["port"]
        names = {one["name"]: one["containerPort"] for one in container["ports"] if "name" in one}
        assert (names.get(port, port), "TCP") in opened(container)


def test_every_address_in_a_pod_leads_to_a_port_that_is_open_and_permitted(
    objects: dict[tuple[str, str], Object],
) -> None:
    policies = {name: one["spec"] for (kind, name), one in objects.items() if kind == "NetworkPolicy"}

    def ports(policy: str, direction: str) -> set[tuple[int, str]]:
        return {(one["port"], one["protocol"]) for rule in policies[policy][direction] for one in rule["ports"]}

    used = set()
    for name in APPS:
        container = containers(objects)[name]
        variables = given(container)
        gossip, port = int(variables["GDD_MEM_PORT"]), int(variables["GDD_PORT"])
        own = {(gossip, "UDP"), (gossip, "TCP"), (port, "TCP")}
        assert opened(container) == own
        assert str(port) == container["command"][container["command"].index("--port") + 1]
        assert own <= ports("gossip", "ingress") & ports("gossip", "egress")
        assert (
            policies["gossip"]["podSelector"]["matchLabels"].items()
            <= pods(objects)[name]["metadata"]["labels"].items()
        )
        for value in variables.values():
            if "://" in value:
                url = urlsplit(re.sub(r"\$\(\w+\)", "x", value))
                (there,) = reached(objects, str(url.hostname))["spec"]["containers"]
                assert (url.port, "TCP") in opened(there)
                assert url.port in {one["port"] for one in objects["Service", str(url.hostname)]["spec"]["ports"]}
                used.add((url.port, "TCP"))
    assert used == ports("kept", "ingress")
    assert used | {(53, "UDP"), (53, "TCP")} == ports("gossip", "egress") - ports("gossip", "ingress")
    assert ports("page", "ingress") == {(objects["Service", "bff"]["spec"]["ports"][0]["port"], "TCP")}


def test_prometheus_has_the_same_configuration_in_the_cluster(objects: dict[tuple[str, str], Object]) -> None:
    kept = objects["ConfigMap", "prometheus"]["data"]
    assert kept == {name: (HERE / name).read_text("utf-8") for name in ("prometheus.yml", "alerts.yml")}
    mounts = {mount["mountPath"] for mount in containers(objects)["prometheus"]["volumeMounts"]}
    assert {"/etc/prometheus", "/sd", "/run/secrets/manage_pass"} <= mounts
    assert all(text in kept["prometheus.yml"] for text in ("/sd/targets.json", "/run/secrets/manage_pass"))
    assert "/sd/targets.json" in containers(objects)["seed"]["command"]
