"""How a registry joins: which seeds count, what is no join, and what a start that fails takes back."""

from __future__ import annotations

import base64
import contextlib
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import anyio
import pytest
from support.gossip import FAST_GOSSIP, NEVER_SUSPECTED, gossip_address, gossiping
from support.server_processes import process_of
from support.waiting import eventually

from pydoudou import JoinError, Registry
from pydoudou.drivers.memberlist import node as node_module


@pytest.fixture
def silent_seed() -> Iterator[str]:
    """The address of somebody who takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"


class Names:
    """A name service: what is `known` of some names, [] for those that have no address; of the `silent` ones it says
    nothing.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.known: dict[str, list[str]] = {}
        self.silent: set[str] = set()
        self._others = node_module.resolve_all
        monkeypatch.setattr(node_module, "resolve_all", self.resolve_all)

    async def resolve_all(self, host: str) -> list[str]:
        while host in self.silent:  # noqa: ASYNC110 - a test changes it in another thread
            await anyio.sleep(0.01)
        if self.known.get(host) == []:
            raise OSError(f"no address of {host}")
        return self.known.get(host) or await self._others(host)


def message(registry: Registry) -> str:
    return registry.status().backends[0].driver.message


def test_the_first_seed_that_answers_is_enough(silent_seed: str) -> None:
    with gossiping() as seed:
        joining = gossiping("orders", GDD_MEM_SEED=f"{silent_seed},{gossip_address(seed)}", GDD_MEM_TCP_TIMEOUT="30s")
        began = time.monotonic()
        with joining:
            assert time.monotonic() - began < 10
            assert joining.status().ready
            eventually(lambda: seed.members("orders"))


@pytest.mark.parametrize("policy", ["retry", "required"])
def test_a_name_service_that_is_silent_about_one_seed_keeps_no_other_one_waiting(
    monkeypatch: pytest.MonkeyPatch, policy: str
) -> None:
    names = Names(monkeypatch)
    names.silent.add("silent.test")
    with gossiping() as seed:
        seeds = f"silent.test,{gossip_address(seed)}"
        with gossiping("orders", GDD_MEM_SEED=seeds, GDD_MEM_JOIN=policy) as joining:
            assert joining.status().ready
            eventually(lambda: seed.members("orders"))


def test_a_name_that_is_answered_late_is_dialled_then(monkeypatch: pytest.MonkeyPatch) -> None:
    names = Names(monkeypatch)
    names.silent.add("late.test")
    with gossiping("users") as other:
        port = gossip_address(other).rpartition(":")[2]
        with gossiping(GDD_MEM_SEED=f"late.test:{port}", GDD_MEM_SYNC_INTERVAL="0") as joining:
            assert not joining.status().ready
            names.known["late.test"] = ["127.0.0.1"]
            names.silent.clear()
            eventually(lambda: joining.status().ready and joining.members("users"))


def test_the_names_of_the_seeds_are_looked_up_again_while_the_name_service_is_silent_about_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = Names(monkeypatch)
    names.known["seeds.test"] = ["127.0.0.2"]
    names.silent.add("silent.test")
    with gossiping("orders") as other:
        port = gossip_address(other).rpartition(":")[2]
        own = {"GDD_MEM_HOST": "127.0.0.2", "GDD_MEM_BIND": "127.0.0.2", "GDD_MEM_PORT": port}
        seeds = f"silent.test:{port},seeds.test:{port}"
        with gossiping("users", GDD_MEM_SEED=seeds, GDD_MEM_SYNC_INTERVAL="200ms", **own) as alone:
            names.known["seeds.test"] = ["127.0.0.2", "127.0.0.1"]
            eventually(lambda: alone.members("orders") and other.members("users"), timeout=15)


def test_a_seed_that_is_this_node_itself_is_no_join() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    own = {"GDD_MEM_HOST": "127.0.0.2", "GDD_MEM_BIND": "0.0.0.0", "GDD_MEM_PORT": port}
    with pytest.raises(JoinError, match="this node itself"):
        gossiping("orders", GDD_MEM_SEED=f"127.0.0.1:{port}", GDD_MEM_JOIN="required", **own).start()
    with gossiping("orders", GDD_MEM_SEED=f"127.0.0.1:{port}", **own) as alone:
        assert not alone.status().ready
        with gossiping(GDD_MEM_SEED=f"127.0.0.2:{port}"):
            eventually(lambda: alone.status().ready, timeout=15)


def test_a_cluster_of_the_other_dialect_is_no_join() -> None:
    with gossiping("orders") as seed:
        with gossiping(GDD_MEM_SEED=gossip_address(seed), GDD_MEM_DIALECT="hashicorp") as stranger:
            assert not stranger.status().ready
            assert "GDD_MEM_DIALECT" in message(stranger)


def test_who_has_a_name_that_is_taken_is_not_ready_until_it_is_free() -> None:
    fast = {"GDD_MEM_SYNC_INTERVAL": "300ms", "GDD_MEM_NAME": "same"}
    with gossiping() as seed:
        first = gossiping("orders", GDD_MEM_SEED=gossip_address(seed), **fast)
        with first:
            second = gossiping("users", GDD_MEM_SEED=gossip_address(seed), **fast)
            second.start()
            try:
                assert not second.status().ready
                assert "GDD_MEM_NAME" in message(second)
                assert first.status().ready
                first.stop()
                eventually(lambda: second.status().ready, timeout=15)
                eventually(lambda: seed.members("users"))
            finally:
                second.stop()


@pytest.mark.parametrize("other_seed", ["", ",gone.test"], ids=["one name", "another name is gone"])
def test_the_names_of_the_seeds_are_looked_up_again(monkeypatch: pytest.MonkeyPatch, other_seed: str) -> None:
    """A name that listed only the node itself founds no cluster for ever, whatever becomes of the other names."""
    names = Names(monkeypatch).known
    names |= {"seeds.test": ["127.0.0.2"], "gone.test": ["127.0.0.2"]}
    with gossiping("orders") as other:
        port = gossip_address(other).rpartition(":")[2]
        own = {"GDD_MEM_HOST": "127.0.0.2", "GDD_MEM_BIND": "127.0.0.2", "GDD_MEM_PORT": port}
        seeds = f"seeds.test:{port}{other_seed and f'{other_seed}:{port}'}"
        with gossiping("users", GDD_MEM_SEED=seeds, GDD_MEM_SYNC_INTERVAL="200ms", **own) as alone:
            assert "founded" in message(alone)
            names["gone.test"] = []
            names["seeds.test"] = ["127.0.0.2", "127.0.0.1"]
            eventually(lambda: alone.members("orders") and other.members("users"), timeout=15)


def test_a_start_that_fails_after_a_seed_has_taken_the_node_in_takes_that_back() -> None:
    """The seed reads what we send, and we cannot read its answer."""
    one, two = (base64.b64encode(bytes([number]) * 32).decode() for number in (1, 2))
    with gossiping(GDD_MEM_SECRET_KEY=f"{one},{two}", **NEVER_SUSPECTED) as seed:
        joining = gossiping(
            "orders", GDD_MEM_SEED=gossip_address(seed), GDD_MEM_SECRET_KEY=two, GDD_MEM_JOIN="required"
        )
        with pytest.raises(JoinError):
            joining.start()
        eventually(lambda: seed.status().backends[0].driver.counters["nodes_gone"] == 1)
        assert not seed.members("orders")


def test_a_start_that_is_interrupted_takes_back_what_it_announced(silent_seed: str) -> None:
    with gossiping(**NEVER_SUSPECTED) as seed:
        environment = FAST_GOSSIP | {
            "GDD_SERVICE_NAME": "orders",
            "GDD_PORT": "8080",
            "GDD_MEM_SEED": f"{silent_seed},{gossip_address(seed)}",
            "GDD_MEM_TCP_TIMEOUT": "30s",
        }
        program = "import pydoudou; pydoudou.new_node(); import time; time.sleep(60)"
        with process_of([sys.executable, "-c", program], env=environment, stderr=subprocess.DEVNULL) as process:
            eventually(lambda: seed.members("orders"), timeout=15)
            process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(15)
        eventually(lambda: not seed.members("orders"), timeout=15)
