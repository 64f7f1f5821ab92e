"""The registry page shows who other programs have registered: a Go node, a Python one, and a Java client of Nacos."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import httpx
from support.browser import chromium, missing
from support.go_peer import GoPeer
from support.gossip import FAST_GOSSIP, gossip_address, gossiping
from support.nacos import nacos_variables
from support.nacos_peers import NacosPeer
from support.nacos_server import NacosServer, fresh_service
from support.page_server import serving
from support.waiting import eventually

from pydoudou import Registry, Settings
from pydoudou.contrib.page import RegistryPage
from pydoudou.drivers.memberlist.metadata import encode_instance
from pydoudou.drivers.members import Instance

PAGE = "/go-doudou/registry.json"


def go_meta(service: str, port: int) -> str:
    """The metadata of a Go process that offers a service, as the peer takes it."""
    instance = Instance(service, "127.0.0.1", port, data={"zone": "b"}, registered_at=datetime(2026, 1, 2, tzinfo=UTC))
    return "hex:" + encode_instance(instance, runtime="go1.22.5").hex()


def seen_by_a_browser(url: str, stock: str) -> list[str]:
    """The nodes that the page shows for the three services: the server has those of other tests too."""
    with chromium() as browser:
        page = browser.new_page()
        page.goto(f"{url}{PAGE.removesuffix('.json')}?sort=node&group=0")
        page.locator("tbody td.node .strong").nth(2).wait_for(timeout=20_000)
        shown = {}
        for row in page.locator("tbody tr").all():
            service, name = (
                row.locator("td.node .small").first.inner_text(),
                row.locator("td.node .strong").inner_text(),
            )
            shown[service] = name
        return [shown["users"], shown["orders"], shown[stock]]


def test_a_go_node_a_python_node_and_a_java_client_of_nacos_are_shown_beside_each_other(
    nacos: NacosServer, tmp_path: Path
) -> None:
    stock = fresh_service("stock")
    dialect = {"GDD_MEM_DIALECT": "hashicorp"}
    with (
        GoPeer("go-1", "-meta", go_meta("users", 7001)) as go,
        gossiping("orders", GDD_PORT="7002", GDD_MEM_NAME="py-1", GDD_MEM_SEED=go.address, **dialect) as python,
        NacosPeer("java", tmp_path, nacos.address) as java,
    ):
        java.register(stock, "127.0.0.1:7003", weight=2.5, metadata={"zone": "c"})
        variables = FAST_GOSSIP | nacos_variables(nacos.address) | dialect
        variables |= {"GDD_SERVICE_DISCOVERY_MODE": "memberlist,nacos", "GDD_MEM_SEED": gossip_address(python)}
        with (
            Registry(Settings.from_env(variables, register=False)) as registry,
            serving(RegistryPage(registry)) as url,
        ):

            def rows() -> dict[str, dict[str, object]]:
                told = httpx.get(url + PAGE, timeout=20).json()
                return {row["svcName"]: row for row in told["rows"] if row["svcName"] in ("users", "orders", stock)}

            eventually(lambda: len(rows()) == 3, 20)
            shown = rows()
            of_go, of_python, of_java = shown["users"], shown["orders"], shown[stock]
            assert (of_go["hostname"], of_go["goVer"], of_go["sources"]) == ("go-1", "go1.22.5", ["memberlist"])
            assert (of_go["memPort"], of_go["data"]) == (int(go.address.rpartition(":")[2]), {"zone": "b"})
            assert (of_python["hostname"], of_python["svcPort"]) == ("py-1", 7002)
            assert str(of_python["goVer"]).startswith("py3.")
            assert (of_java["baseUrl"], of_java["weight"]) == ("http://127.0.0.1:7003", 2.5)
            assert (of_java["sources"], of_java["zone"], of_java["memPort"]) == (["nacos"], "c", None)
            assert {row["status"] for row in shown.values()} == {"up"}
            if not missing():
                assert seen_by_a_browser(url, stock) == ["go-1", "py-1", of_java["hostname"]]
            print("\n" + "\n".join(f"{row['hostname']}: {row['baseUrl']} {row['sources']}" for row in shown.values()))
