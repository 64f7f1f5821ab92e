"""What is imported is what the mode needs: nobody pays for gRPC, for an HTTP client or for the screen of the demo."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys

import pytest

NEVER_UNASKED = [
    *("grpc", "v2", "google.protobuf", "aiohttp", "pydantic", "requests", "httpx", "rich", "click"),
    *("httpx2", "urllib3", "prometheus_client", "opentelemetry", "pydoudou.contrib.metrics", "throttled", "redis"),
    *("flask", "django", "celery", "starlette", "fastapi", "gunicorn", "uvicorn", "hypercorn", "redis", "throttled"),
    *(f"pydoudou.contrib.{room}" for room in ("simulator", "servers", "protection", "page", "cli")),
]
LOOPBACK = {"GDD_MEM_HOST": "127.0.0.1", "GDD_MEM_BIND": "127.0.0.1", "GDD_MEM_PORT": "0"}
NEW_NODE = "import pydoudou; node = pydoudou.new_node(register=False); node.members(); pydoudou.shutdown()"

# Looking for a module counts as importing it, so that a test fails where the module is not installed too.
PROGRAM = """
import json, sys

looked_for = set()

class Recorder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        looked_for.add(name)

sys.meta_path.insert(0, Recorder)
{}
print(json.dumps(sorted(looked_for | set(sys.modules))))
"""


def imported(program: str, **variables: str) -> frozenset[str]:
    """The modules that a process with this program imports, or tries to."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(program)],
        env={name: value for name, value in os.environ.items() if not name.startswith("GDD_")} | variables,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return frozenset(json.loads(done.stdout))


@pytest.fixture(scope="module")
def by_the_package() -> frozenset[str]:
    return imported("from pydoudou import *")


@pytest.fixture(scope="module")
def by_a_gossip_node() -> frozenset[str]:
    return imported(NEW_NODE, GDD_SERVICE_DISCOVERY_MODE="memberlist", **LOOPBACK)


@pytest.fixture(scope="module")
def by_fixed_addresses() -> frozenset[str]:
    return imported(NEW_NODE, GDD_SERVICE_DISCOVERY_MODE="static", GDD_STATIC_ORDERS="http://10.0.0.1:8080")


@pytest.mark.parametrize("module", [*NEVER_UNASKED, "cryptography", "msgpack", "anyio", "asyncio", "tenacity"])
def test_importing_the_package_does_not_import(module: str, by_the_package: frozenset[str]) -> None:
    assert "pydoudou.discovery" in by_the_package
    assert module not in by_the_package


@pytest.mark.parametrize("module", [*NEVER_UNASKED, "pydoudou.drivers.nacos"])
def test_a_gossip_node_does_not_import(module: str, by_a_gossip_node: frozenset[str]) -> None:
    assert "pydoudou.drivers.memberlist.node" in by_a_gossip_node
    assert module not in by_a_gossip_node


@pytest.mark.parametrize("module", [*NEVER_UNASKED, "cryptography", "msgpack", "pydoudou.drivers.memberlist"])
def test_fixed_addresses_do_not_import(module: str, by_fixed_addresses: frozenset[str]) -> None:
    assert "pydoudou.drivers.static.driver" in by_fixed_addresses
    assert module not in by_fixed_addresses


LIBRARIES = {name for name in NEVER_UNASKED if "." not in name}
INTEGRATIONS = {
    "asgi": set[str](),
    "wsgi": set[str](),
    "starlette": set[str](),
    "fastapi": {"fastapi", "starlette", "pydantic"},
    "flask": {"flask", "click"},
    "django": {"django"},
    "gunicorn": set[str](),
    "hypercorn": {"hypercorn"},
    "prometheus": {"prometheus_client"},
    "opentelemetry": {"opentelemetry"},
    "protection.asgi": set[str](),
    "protection.wsgi": set[str](),
    "page.asgi": set[str](),
    "servers.registrar": set[str](),
}


@pytest.mark.parametrize("module", INTEGRATIONS)
def test_an_integration_imports_its_own_library_and_no_other(module: str) -> None:
    """The metrics, traces, frameworks and stores that somebody else asks for cost nothing here."""
    libraries = INTEGRATIONS[module]
    for library in libraries:
        pytest.importorskip(library)
    modules = imported(f"import pydoudou.contrib.{module}")
    assert f"pydoudou.contrib.{module}" in modules
    assert modules & LIBRARIES - libraries == set()
    assert {
        name for name in modules if name.startswith(("pydoudou.drivers.memberlist.", "pydoudou.drivers.nacos."))
    } == set()


@pytest.mark.parametrize(("used", "other"), [("httpx", "httpx2"), ("httpx2", "httpx")])
def test_what_httpx_and_httpx2_share_imports_neither_of_them(used: str, other: str) -> None:
    modules = imported(f"import pydoudou.contrib.{used}")
    assert used in modules
    assert f"pydoudou.contrib.{other}" not in modules
    assert {name for name in modules if name.partition(".")[0] == other} == set()


@pytest.mark.parametrize(
    ("module", "library"),
    [
        *((name, name) for name in ("requests", "httpx", "httpx2", "aiohttp", "urllib3", "grpc")),
        ("grpc_aio", "grpc"),
        ("prometheus", "prometheus_client"),
        ("opentelemetry", "opentelemetry"),
    ],
)
def test_a_module_whose_library_is_not_installed_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, module: str, library: str
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    monkeypatch.delitem(sys.modules, f"pydoudou.contrib.{module}", raising=False)
    extra = module.removesuffix("_aio")
    with pytest.raises(ModuleNotFoundError, match=rf"pydoudou\.contrib\.{extra} needs .*'pydoudou\[{extra}\]'"):
        importlib.import_module(f"pydoudou.contrib.{module}")


def test_naming_the_mode_is_what_imports_its_driver() -> None:
    program = "import pydoudou\ntry: pydoudou.Settings.from_env()\nexcept pydoudou.SettingsError as error: pass"
    asked = imported(program, GDD_SERVICE_DISCOVERY_MODE="nacos")
    assert "pydoudou.drivers.nacos.driver" in asked
    assert "pydoudou.drivers.memberlist" not in asked
    assert {"v2", "grpc", "aiohttp"}.isdisjoint(asked), "that comes with the first connection"


def test_looking_for_a_module_that_is_not_there_counts_as_importing_it() -> None:
    assert "no_such_module" in imported("import importlib.util; importlib.util.find_spec('no_such_module')")
