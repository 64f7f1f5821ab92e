"""What is given in code and cannot work is refused at once, by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from support.scripted import ScriptedPlugin, settings

from pydoudou import LeastLatency, Registry, RoundRobin, Settings

NO_NAMES: list[Any] = [None, 0, 1.5, True, "", b"orders", [], {}, Ellipsis]
NO_VARIABLES: list[tuple[Any, str]] = [
    (1.5, "is a float; accepted: a mapping"),
    ("GDD_PORT=1", "is a str; accepted: a mapping"),
    ([("GDD_PORT", "1")], "is a list; accepted: a mapping"),
    ({"GDD_PORT": 8080}, r"\['GDD_PORT'\] is a int; accepted: text"),
    ({"GDD_PORT": None}, r"\['GDD_PORT'\] is a NoneType; accepted: text"),
    ({1: "x"}, "has the key 1; accepted: names of variables"),
]

Asked = Callable[[Registry, Any], Any]


@pytest.mark.parametrize("service", NO_NAMES, ids=repr)
@pytest.mark.parametrize("running", [True, False])
def test_what_is_no_name_of_a_service_is_refused_whoever_is_asked(service: Any, running: bool) -> None:
    registry = Registry(settings(ScriptedPlugin("gossip"), register=False))
    asked: list[Asked] = [
        lambda registry, service: registry.subscribe(service),
        lambda registry, service: registry.explain(service),
        lambda registry, service: registry.explain_members(service),
        lambda registry, service: RoundRobin(service, registry),
        lambda registry, service: LeastLatency(service, registry),
    ]
    if service is not None:  # all services
        asked += [Registry.members, Registry.watch]
    if running:
        registry.start()
    try:
        for ask in asked:
            with pytest.raises(TypeError, match="accepted: the name of a service"):
                ask(registry, service)
    finally:
        registry.stop()


@pytest.mark.parametrize(("variables", "said"), NO_VARIABLES, ids=lambda each: repr(each)[:30])
def test_variables_that_are_no_text_are_named(variables: Any, said: str) -> None:
    with pytest.raises(TypeError, match=f"^variables{said}" if "[" in said[:2] else f"^variables {said}"):
        Settings(service="orders", register_host="10.0.0.1", variables=variables)
    with pytest.raises(TypeError, match="env"):
        Settings.from_env(variables)
    with pytest.raises(TypeError, match="env"):
        Settings.load(variables)
    with Registry(settings(ScriptedPlugin("gossip"))) as registry, pytest.raises(TypeError, match="changes"):
        registry.reconfigure(variables)


@pytest.mark.parametrize("data", [0, 1.5, True, Ellipsis, int, "zone=a", [("zone", "a")]], ids=repr)
def test_metadata_that_is_no_mapping_is_refused_and_the_registration_stays(data: Any) -> None:
    plugin = ScriptedPlugin("gossip")
    with pytest.raises(TypeError, match=r"^data is a .*; accepted: a mapping"):
        Registry(settings(plugin)).start(data)
    assert not plugin.drivers
    with Registry(settings(plugin)) as registry:
        with pytest.raises(TypeError, match=r"^data is a .*; accepted: a mapping"):
            registry.update(data)
        assert plugin.driver.log == ["run"]
