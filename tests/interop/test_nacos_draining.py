"""Registering later and draining, with a real Nacos server and one that looks."""

from __future__ import annotations

from support.nacos import on_nacos
from support.nacos_server import NacosServer, fresh_service
from support.waiting import eventually

from pydoudou import Registry


def test_what_is_held_back_is_listed_when_it_is_announced_and_not_after_it_drains(nacos: NacosServer) -> None:
    service = fresh_service()
    with on_nacos(nacos.address) as looking, looking.subscribe(service) as subscription:
        assert subscription.wait(10.0)
        given = on_nacos(nacos.address, service)
        registry = Registry(given.settings)
        registry.start({"zone": "a"}, announce=False)
        try:
            assert registry.status().presence == "held back"
            assert nacos.api.instances(service) == []
            registry.announce()
            eventually(lambda: looking.members(service))
            assert looking.members(service)[0].data["zone"] == "a"
            assert registry.status().ready
            registry.drain(0.0)
            eventually(lambda: not nacos.api.instances(service) and not looking.members(service))
            assert registry.status().backends[0].ready
        finally:
            registry.stop()
