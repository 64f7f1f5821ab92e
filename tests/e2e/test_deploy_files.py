"""The files in docs/deploy/files are what their programs accept, and together they are a system that works."""

from __future__ import annotations

import http
import json
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from support.containers import Topology
from support.gossip import FAST_GOSSIP, gossiping
from support.manifests import checked, understood
from support.server_processes import free_port, process_of
from support.waiting import eventually

FILES = Path(__file__).parents[2] / "docs" / "deploy" / "files"
MANIFESTS = sorted(path.name for path in (FILES / "kubernetes").iterdir())
Object = dict[str, Any]


@pytest.fixture(scope="module")
def project() -> Object:
    found: Object = understood("compose", FILES / "compose.yml")
    return found


@pytest.fixture(scope="module")
def objects() -> dict[tuple[str, str], Object]:
    """All objects of all manifests, by kind and name."""
    found = [one for name in MANIFESTS for one in understood("kubernetes", FILES / "kubernetes" / name)]
    return {(one["kind"], one["metadata"]["name"]): one for one in found}


# -- Docker ------------------------------------------------------------------------------------------------------------


def test_every_variable_of_the_services_is_read(project: Object) -> None:
    registered = {}
    for name, service in project["services"].items():
        settings = checked(service.get("environment", {}))
        if settings.register:
            registered[name] = (settings.service_name, settings.port)
    assert registered == {"orders": ("orders", 8080), "shop": ("shop", 8080)}


def test_what_a_service_is_told_to_stop_within_is_longer_than_it_drains(project: Object) -> None:
    for name in ("orders", "shop", "worker"):
        assert int(project["services"][name]["stop_grace_period"].removesuffix("s")) >= 20


def test_the_image_has_what_the_commands_need(project: Object) -> None:
    lines = (FILES / "Dockerfile").read_text("utf-8").splitlines()
    (copied,) = (line.split()[1:-1] for line in lines if line.startswith("COPY "))
    assert all((FILES / name).is_file() for name in copied)
    (command,) = (json.loads(line.removeprefix("CMD ")) for line in lines if line.startswith("CMD "))
    for words in (command, *(one["command"] for one in project["services"].values() if one.get("command"))):
        program = next(
            word for word in words if word.removesuffix(".py").partition(":")[0] in ("seed", "orders", "shop", "tasks")
        )
        assert f"{program.removesuffix('.py').partition(':')[0]}.py" in copied
    (extras,) = re.findall(r"'pydoudou\[(.*?)\]'", "\n".join(lines))
    declared = tomllib.loads((FILES.parents[2] / "pyproject.toml").read_text("utf-8"))["project"]
    assert set(extras.split(",")) <= declared["optional-dependencies"].keys()


def test_prometheus_takes_its_configuration() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("there is no promtool on this machine: apt-get install prometheus")
    subprocess.run([promtool, "check", "config", FILES / "prometheus.yml"], capture_output=True, check=True)


def test_the_services_of_the_compose_file_find_and_call_each_other(project: Object, tmp_path: Path) -> None:
    topology = Topology(project, FILES, tmp_path)
    seed, first, second, shop = (
        topology.of(name)[n] for name, n in (("seed", 0), ("orders", 0), ("orders", 1), ("shop", 0))
    )
    url = f"http://{shop.address}:{topology.port(8080)}"
    looking = {"GDD_MEM_SEED": f"{seed.address}:{topology.port(7946)}", "GDD_MEM_HOST": "127.0.0.1"}
    with topology.running("seed", "orders", "shop"), gossiping(**looking) as registry:
        eventually(lambda: len(registry.members("orders")) == 2 and len(registry.members("shop")) == 1, timeout=40)
        assert {member.host for member in registry.members("orders")} == {first.address, second.address}
        assert all(topology.healthy(container) for container in (seed, first, second, shop))
        assert asked(f"{url}/items") == b'["tea","coffee"]\n'
        assert first.stop() in (0, -15)
        assert [member.host for member in registry.members("orders")] == [second.address]
        assert asked(f"{url}/items") == b'["tea","coffee"]\n'
        assert b"pydoudou_registered 1.0" in asked(f"http://{second.address}:{topology.port(8080)}/metrics/")
        eventually(
            lambda: b'pydoudou_calls_total{outcome="2xx",service="orders"}' in scraped(f"{url}/metrics"), timeout=20
        )


def test_the_worker_of_the_compose_file_calls_a_service(project: Object, tmp_path: Path) -> None:
    redis = shutil.which("redis-server")
    if redis is None:
        pytest.skip("there is no redis-server on this machine: apt-get install redis-server")
    pytest.importorskip("redis", reason="celery needs it to speak to Redis: pip install 'celery[redis]'")
    topology = Topology(project, FILES, tmp_path)
    broker, (worker,) = topology.of("redis")[0], topology.of("worker")
    command = [redis, "--bind", broker.address, "--port", str(topology.port(6379)), "--save", "", "--dir", tmp_path]
    with process_of(command, stdout=subprocess.DEVNULL), topology.running("seed", "orders", "worker"):
        counted = topology.run(worker, "import tasks; print(tasks.count_items.delay().get(timeout=30))")
        assert counted == "2\n"
        assert worker.stop() == 0


def scraped(url: str) -> bytes:
    """As `asked`; nothing, for once, where prometheus_client finds the file of a worker that has just made it, and has
    written nothing yet: it fails, and Prometheus asks again.
    """
    try:
        return asked(url)
    except urllib.error.HTTPError as error:
        if error.code != http.HTTPStatus.INTERNAL_SERVER_ERROR:
            raise
        return b""


def asked(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=10) as answer:
        found: bytes = answer.read()
        return found


# -- Kubernetes --------------------------------------------------------------------------------------------------------


def pods(objects: dict[tuple[str, str], Object]) -> dict[str, Object]:
    """The pod of each Deployment and StatefulSet, by its name."""
    return {
        name: one["spec"]["template"] for (kind, name), one in objects.items() if kind in ("Deployment", "StatefulSet")
    }


def variables(pod: Object) -> dict[str, str]:
    """Those of its container; the address of a pod is 10.1.2.3."""
    (container,) = pod["spec"]["containers"]
    for one in container["env"]:
        assert "value" in one or one["valueFrom"]["fieldRef"]["fieldPath"] == "status.podIP"
    return {one["name"]: one.get("value", "10.1.2.3") for one in container["env"]}


def test_every_variable_of_the_pods_is_read_and_every_seed_is_a_pod(objects: dict[tuple[str, str], Object]) -> None:
    headless, seeds = objects["Service", "gossip"]["spec"], objects["StatefulSet", "seed"]["spec"]
    assert headless["clusterIP"] == "None"
    assert headless["publishNotReadyAddresses"] is True
    assert seeds["serviceName"] == "gossip"
    names = [f"seed-{number}.gossip" for number in range(seeds["replicas"])]
    for pod in pods(objects).values():
        settings = checked(variables(pod))
        assert settings.drivers["memberlist"].seeds == tuple((name, 7946) for name in names)
        assert headless["selector"].items() <= pod["metadata"]["labels"].items() or settings.register
    assert variables(pods(objects)["seed"])["GDD_MEM_HOST"] == ".gossip.default.svc.cluster.local"


def test_ports_are_open_for_what_listens_on_them(objects: dict[tuple[str, str], Object]) -> None:
    policy = objects["NetworkPolicy", "gossip"]["spec"]
    for direction in ("ingress", "egress"):
        ports = {(port["port"], port["protocol"]) for rule in policy[direction] for port in rule["ports"]}
        assert {(7946, "UDP"), (7946, "TCP"), (8080, "TCP")} <= ports
    for pod in pods(objects).values():
        assert policy["podSelector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
        (container,) = pod["spec"]["containers"]
        given = variables(pod)
        opened = {(port["containerPort"], port.get("protocol", "TCP")) for port in container["ports"]}
        assert {(int(given["GDD_MEM_PORT"]), "UDP"), (int(given["GDD_MEM_PORT"]), "TCP")} <= opened
        if "GDD_PORT" in given:
            assert (int(given["GDD_PORT"]), "TCP") in opened
            assert given["GDD_PORT"] in container["command"]


def test_a_pod_has_more_time_to_end_than_it_drains(objects: dict[tuple[str, str], Object]) -> None:
    pod = pods(objects)["orders"]["spec"]
    settings = checked(variables(pods(objects)["orders"]))
    assert pod["terminationGracePeriodSeconds"] >= 2 * settings.drain_time
    assert "lifecycle" not in pod["containers"][0], "a preStop that waits keeps the pod registered"


# -- systemd -----------------------------------------------------------------------------------------------------------


def test_systemd_takes_the_unit_and_its_variables_are_read(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("there is no systemd-analyze on this machine: apt-get install systemd")
    unit = (FILES / "systemd" / "orders.service").read_text("utf-8")
    here = tmp_path / "orders.service"
    here.write_text(unit.replace("/opt/orders/.venv/bin/uvicorn", sys.executable), "utf-8")
    found = subprocess.run([analyze, "verify", "--man=no", here], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stderr) == (0, "")
    text = (FILES / "systemd" / "orders.env").read_text("utf-8")
    given = dict(line.split("=", 1) for line in text.splitlines() if line and not line.startswith("#"))
    settings = checked(given)
    assert f"--port {settings.port}" in unit
    (seconds,) = re.findall(r"^TimeoutStopSec=(\d+)$", unit, re.MULTILINE)
    assert int(seconds) > settings.drain_time


# -- Django ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("server", ["uvicorn", "gunicorn"])
def test_the_django_project_is_registered_under_either_server(server: str, tmp_path: Path) -> None:
    port = str(free_port())
    command = {
        "uvicorn": ["uvicorn", "project:app", "--port", port, "--log-level", "warning"],
        "gunicorn": [
            "gunicorn",
            "project:application",
            "-c",
            str(FILES / "gunicorn.conf.py"),
            "-b",
            f"127.0.0.1:{port}",
        ],
    }[server]
    # A short path: a Unix socket stands in it.
    with tempfile.TemporaryDirectory() as runtime, gossiping() as registry:
        seed = registry.status().backends[0].driver.address
        environment = FAST_GOSSIP | {"GDD_SERVICE_NAME": "orders", "GDD_PORT": port, "GDD_MEM_SEED": seed}
        environment |= {
            "PATH": "/usr/bin:/bin",
            "XDG_RUNTIME_DIR": runtime,
            "PROMETHEUS_MULTIPROC_DIR": str(tmp_path),
        }
        program = [sys.executable, "-m", *command]
        with process_of(program, cwd=FILES / "django", env=environment) as process:
            eventually(lambda: len(registry.members("orders")) == 1, timeout=30)
            assert asked(f"http://127.0.0.1:{port}/") == b"hello"
            process.terminate()
            process.wait(30)
        assert registry.members("orders") == ()
