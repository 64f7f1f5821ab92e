"""The page on a real server: Prometheus finds its targets there, and who guesses passwords disturbs nobody."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import httpx
from support.effort import EFFORT
from support.gossip import gossip_address, gossiping
from support.page_server import serving
from support.prometheus import prometheus
from support.server_processes import process_of
from support.waiting import eventually

from pydoudou import Registry
from pydoudou.contrib.page import RegistryPage

ATTACKER = Path(__file__).parents[1] / "support" / "page_attacker.py"
PASSWORD = {"GDD_MANAGE_USER": "op", "GDD_MANAGE_PASS": "geheim"}
SECONDS = 5.0 if EFFORT > 1 else 2.0


def test_a_prometheus_finds_its_targets_at_the_page_and_scrapes_them(tmp_path: Path) -> None:
    with gossiping(**PASSWORD) as looker, serving(RegistryPage(looker)) as url:
        port = url.rpartition(":")[2]  # the target is the page's own server, as that of a service is
        login = {"username": "op", "password": "geheim"}
        scraped = {
            "http_sd_configs": [{"url": f"{url}/go-doudou/sd.json", "refresh_interval": "1s", "basic_auth": login}],
            "metrics_path": "/go-doudou/prometheus",
            "basic_auth": login,
        }
        variables = {"GDD_PORT": port, "GDD_MEM_NAME": "carts-1", "GDD_MEM_SEED": gossip_address(looker)}
        with prometheus(tmp_path, **scraped) as ask:
            with gossiping("carts", **variables):
                eventually(lambda: ask("up == 1"), 40)
                ((labels, _),) = ask("up == 1")
                assert labels.items() >= {("service_id", "carts"), ("hostname", "carts-1")}
                eventually(lambda: ask('pydoudou_members{service="carts"} == 1'), 20)
            eventually(lambda: not ask("up"), 40)


def test_a_thousand_wrong_passwords_a_second_disturb_nobody() -> None:
    with gossiping("orders", **PASSWORD) as registry, serving(RegistryPage(registry)) as url:
        with gossiping("users", GDD_MEM_SEED=gossip_address(registry)) as other, other.watch("orders") as events:
            eventually(lambda: len(registry.members()) == len(other.members()) == 2, 20)
            command = [sys.executable, str(ATTACKER), url.rpartition(":")[2], str(SECONDS)]
            with process_of(command, stdout=subprocess.PIPE) as attacker:
                times, seen = [], []
                with httpx.Client(base_url=url, auth=("op", "geheim"), timeout=20) as client:
                    while attacker.poll() is None:
                        began = time.perf_counter()
                        seen.append(client.get("/go-doudou/registry.json").status_code)
                        times.append(time.perf_counter() - began)
                        time.sleep(0.05)
                assert attacker.stdout is not None
                told = json.loads(attacker.stdout.read())
            _nobody_was_lost(registry, other)
            events.close()
            assert [event.kind for event in events] == []
    rate = told["sent"] / SECONDS
    print(f"\n{rate:.0f} guesses a second: {told}; the right password is answered within {max(times):.2f} s")
    assert set(seen) == {200}
    assert told["429"] > told.get("401", 0)
    assert rate > 100
    assert max(times) < 10


def _nobody_was_lost(registry: Registry, other: Registry) -> None:
    for each in (registry, other):
        assert {(member.service, member.state.value) for member in each.members()} == {
            ("orders", "alive"),
            ("users", "alive"),
        }
