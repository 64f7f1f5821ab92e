"""What a Nacos server lists in unusual ways, and a login that nobody has looked at."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

pytest.importorskip("v2.nacos")

from support.scripted_nacos import ScriptedNacos
from support.waiting import eventually

from pydoudou import Registry, Settings


@pytest.fixture
def server() -> Iterator[ScriptedNacos]:
    with ScriptedNacos() as server:
        yield server


def looking(server: ScriptedNacos, **variables: str) -> Registry:
    """A registry that has no service itself; to be stopped."""
    settings = {"GDD_SERVICE_DISCOVERY_MODE": "nacos", "GDD_NACOS_SERVER_ADDR": server.address}
    registry = Registry(Settings.from_env(settings | variables, register=False))
    registry.start()
    return registry


@pytest.fixture
def registry(server: ScriptedNacos) -> Iterator[Registry]:
    registry = looking(server)
    yield registry
    registry.stop()


def test_metadata_that_are_no_text_are_what_they_are_in_json_and_null_is_not_there(
    server: ScriptedNacos, registry: Registry
) -> None:
    values = {"rootPath": None, "registerAt": None, "zone": None, "secure": True, "shard": 7, "tags": ["a"]}
    server.offer("orders", "10.0.0.1", metadata=values)
    (member,) = registry.members("orders")
    assert (member.root_path, member.scheme) == ("", "https")
    assert dict(member.data) == {"secure": "true", "shard": "7", "tags": '["a"]'}


def test_all_services_are_found_on_a_server_whose_pages_are_small(server: ScriptedNacos, registry: Registry) -> None:
    for number in range(7):
        server.offer(f"service-{number}", "10.0.0.1")
    server.page_size = 3
    eventually(lambda: len(registry.members()) == 7)


@pytest.mark.parametrize(
    "login",
    [
        (503, '{"status":503,"error":"Service Unavailable","path":"/nacos/v1/auth/users/login"}'),
        (500, "Access denied for user 'nacos'@'db' (using password: YES)"),
    ],
    ids=["a gateway", "its database"],
)
def test_a_login_that_the_server_cannot_look_at_is_tried_again(server: ScriptedNacos, login: tuple[int, str]) -> None:
    server.login = login
    registry = looking(server, GDD_NACOS_USERNAME="nacos", GDD_NACOS_PASSWORD="secret")
    try:
        assert not registry.status().ready
        server.login = None
        eventually(lambda: registry.status().ready, 10.0)
    finally:
        registry.stop()
