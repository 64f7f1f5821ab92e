"""Processes of one host that share a node: real registrars, killed, refused, of another version, and without a disk."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import MappingProxyType

import attrs
import pytest
from support.effort import EFFORT
from support.gossip import FAST_GOSSIP, gossip_address, gossip_nodes, gossiping
from support.held import Holdings
from support.registrars import SLOW_TO_SUSPECT, registrars_of, sharing, where_registrars_are
from support.server_processes import children, free_port, process_of
from support.waiting import eventually
from support.watched import watched

from pydoudou import (
    BackendStatus,
    DiscoveryError,
    Member,
    MemberEvent,
    MemberState,
    Observer,
    RegistrationError,
    Registry,
    RoundRobin,
    Settings,
    SettingsError,
)
from pydoudou.contrib.servers.registrar.frames import VERSION, Frames, frame
from pydoudou.contrib.servers.registrar.messages import RegistrarState, hello, members
from pydoudou.contrib.servers.registrar.place import Held, Place
from pydoudou.contrib.servers.registrar.settings import Start, fingerprint, unpack

pytestmark = pytest.mark.skipif(
    not hasattr(socket, "SO_PEERCRED"), reason="this system does not tell who is at the other end of a socket"
)


@pytest.fixture(autouse=True)
def directory(tmp_path: Path) -> Iterator[Path]:
    with where_registrars_are(tmp_path):
        yield tmp_path


@pytest.fixture
def looking() -> Iterator[Registry]:
    with gossiping(**SLOW_TO_SUSPECT) as registry:
        yield registry


@contextlib.contextmanager
def workers(looking: Registry, count: int = 2, service: str = "orders", **variables: str) -> Iterator[list[Registry]]:
    with contextlib.ExitStack() as stack:
        variables = {"GDD_MEM_SEED": gossip_address(looking), "GDD_PORT": "7000"} | SLOW_TO_SUSPECT | variables
        yield [stack.enter_context(sharing(service, **variables)) for _ in range(count)]


def ports(registry: Registry, service: str = "orders") -> list[int]:
    return [member.port for member in registry.members(service)]


# -- sharing -----------------------------------------------------------------------------------------------------------


def test_several_are_one_node_and_one_member_and_each_sees_everybody(looking: Registry, directory: Path) -> None:
    with workers(looking, 3) as (first, *others), gossiping("users", GDD_MEM_SEED=gossip_address(looking)):
        eventually(lambda: ports(looking) == [7000])
        for registry in (first, *others):
            eventually(lambda registry=registry: ports(registry) == [7000] and ports(registry, "users") == [6060])
        assert gossip_nodes(looking) == 3
        (registrar,) = registrars_of(directory)
        assert {registry.status().registrar for registry in (first, *others)} == {registrar}
        (member,) = first.members("orders")
        assert (member.sources, first.status().own_node) == (("memberlist",), "")
        assert first.status().to_dict()["registrar"] == registrar
        assert f"process {registrar}" in first.explain("orders")


def test_changes_arrive_at_once_and_events_are_those_of_every_registry(looking: Registry) -> None:
    with workers(looking) as (first, second), second.watch("users") as events:
        with gossiping("users", GDD_MEM_SEED=gossip_address(looking)) as users:
            eventually(lambda: ports(second, "users"))
            users.update({"zone": "a"})
            eventually(lambda: [member.data for member in second.members("users")] == [{"zone": "a"}])
        eventually(lambda: not ports(first, "users") and not ports(second, "users"))
        seen = [(event.kind.value, event.member.state) for event in itertools.islice(events, 3)]
    assert seen == [("joined", MemberState.ALIVE), ("updated", MemberState.ALIVE), ("left", MemberState.LEFT)]


def test_who_observes_a_worker_hears_when_the_node_that_it_shares_is_ready() -> None:
    """Nobody asks the worker: its driver tells."""

    class Heard(Observer):
        ready: tuple[bool, ...] = ()

        def driver_changed(self, status: BackendStatus) -> None:
            self.ready = (*self.ready, status.ready)

    heard, port = Heard(), free_port()
    worker = sharing("orders", GDD_MEM_SEED=f"127.0.0.1:{port}", GDD_PORT="7000")
    worker.add_observer(heard)
    with worker:
        eventually(lambda: heard.ready and not heard.ready[-1])
        with gossiping(GDD_MEM_PORT=str(port)):
            eventually(lambda: heard.ready[-1], timeout=20)


def test_clients_alone_share_a_node_if_they_have_the_same_settings(looking: Registry, directory: Path) -> None:
    with (
        workers(looking, 2, "") as (first, second),
        workers(looking, 1, "", GDD_MEM_PROBE_INTERVAL="700ms") as (other,),
    ):
        assert first.status().registrar == second.status().registrar != other.status().registrar
        assert len(registrars_of(directory)) == 2


def test_other_metadata_are_for_all_of_them(looking: Registry) -> None:
    with workers(looking) as (first, second):
        first.update({"zone": "b"})
        eventually(lambda: [member.data for member in looking.members("orders")] == [{"zone": "b"}])
        eventually(lambda: [member.data for member in second.members("orders")] == [{"zone": "b"}])
        with pytest.raises(RegistrationError, match="object"):
            first.update({"zone": object()})


def told_how_to_start_another(directory: Path, settings: Settings) -> Start:
    """What the registrar tells its workers, to a worker that is none."""
    connection = Place(settings.service_name, settings.port).connect()
    assert connection is not None
    frames = Frames()
    with connection:
        connection.settimeout(5)
        connection.sendall(frame(hello(fingerprint(settings), False)))
        while True:
            for message in frames.feed(connection.recv(2**18)):
                if message["kind"] == "successor":
                    return unpack(message["packed"])


def test_what_a_worker_changes_is_changed_for_the_node_and_for_the_one_after_it(
    looking: Registry, directory: Path
) -> None:
    with workers(looking) as (first, second):
        node: Settings = first.settings.drivers["registrar"].node

        def probe_interval() -> float:
            interval: float = (
                told_how_to_start_another(directory, node).settings.drivers["memberlist"].config.probe_interval
            )
            return interval

        assert probe_interval() == 0.5
        with pytest.raises(SettingsError, match="GDD_MEM_PROBE_INTERVAL"):
            first.reconfigure({"GDD_MEM_PROBE_INTERVAL": "soon"})
        with pytest.raises(SettingsError, match="only at the start"):
            first.reconfigure({"GDD_MEM_SEED": "10.0.0.1"})
        first.reconfigure({"GDD_MEM_PROBE_INTERVAL": "900ms"})
        second.reconfigure({"GDD_MEM_PROBE_INTERVAL": "900ms"})
        eventually(lambda: probe_interval() == 0.9)
        (before,) = registrars_of(directory)
        os.kill(before, signal.SIGKILL)
        eventually(lambda: second.status().registrar not in (None, before), timeout=20)
        eventually(lambda: probe_interval() == 0.9)


def test_a_weight_that_one_of_them_says_is_that_of_the_service_and_leaves_the_metadata_of_another(
    looking: Registry,
) -> None:
    with workers(looking, GDD_WEIGHT="2") as (first, second):
        first.update({"zone": "b"})
        second.reconfigure({"GDD_WEIGHT": "7"})
        eventually(lambda: [(each.weight, each.data) for each in looking.members("orders")] == [(7, {"zone": "b"})])


@pytest.mark.skipif(EFFORT == 1, reason="a node that nobody probed is not looked at for ten seconds: make long")
def test_a_failed_calls_hint_finds_its_way_to_the_gossip(looking: Registry) -> None:
    never = {"GDD_MEM_PROBE_INTERVAL": "60s", "GDD_MEM_PROBE_TIMEOUT": "200ms"}
    with gossiping("users", GDD_MEM_SEED=gossip_address(looking)), workers(looking, 1, **never) as (worker,):
        eventually(lambda: ports(worker, "users"))
        (member,) = worker.members("users")
        assert worker.round_trip(member) is None  # nobody has looked at it
        worker.probe(member)
        eventually(lambda: worker.round_trip(member) is not None, timeout=30)


def test_hints_about_one_member_are_passed_on_twice_a_second_at_most() -> None:
    heard: list[str] = []
    member = Member("users", "127.0.0.1", 7001, node="n", sources=("memberlist",))

    def serves(connection: socket.socket) -> None:
        frames = Frames()
        welcome = {"kind": "hello", "version": VERSION, "refused": "", "again": False, "pid": 7}
        state = RegistrarState(ready=True, authoritative=True).to_message()
        connection.sendall(frame(welcome) + frame(state) + frame(members([member], whole=True)))
        while data := connection.recv(65536):
            for message in frames.feed(data):
                heard.append(message["kind"])
                if "number" in message:
                    connection.sendall(frame({"kind": "reply", "number": message["number"], "error": None}))

    with pretended_registrar(serves), sharing("orders", GDD_PORT="7000") as worker:
        assert worker.status().registrar == 7
        (found,) = worker.members("users")
        for _ in range(100):
            worker.probe(found)
        eventually(lambda: "probe" in heard)
        worker.update({"zone": "a"})
        assert (heard.count("probe"), heard[0]) == (1, "hello")


def test_one_session_with_a_nacos_server_serves_all_of_them() -> None:
    pytest.importorskip("v2.nacos")
    from support.scripted_nacos import ScriptedNacos

    with ScriptedNacos() as server, contextlib.ExitStack() as stack:
        server.offer("fine", "10.0.0.1")
        variables = {"GDD_SERVICE_DISCOVERY_MODE": "nacos", "GDD_NACOS_SERVER_ADDR": server.address}
        both = [stack.enter_context(sharing("orders", GDD_PORT="7000", **variables)) for _ in range(2)]
        held = [stack.enter_context(registry.subscribe("fine")) for registry in both]
        for subscription in held:
            assert subscription.wait(10)
            assert [member.host for member in subscription.snapshot().members] == ["10.0.0.1"]
        assert len(server.listed("orders")) == 1
        assert server.connections == 1
        server.offer("fine", "10.0.0.2")
        for subscription in held:
            eventually(lambda subscription=subscription: len(subscription.snapshot().members) == 2)
        held[0].close()
        server.withdraw("fine", "10.0.0.1")
        eventually(lambda: [member.host for member in held[1].snapshot().members] == ["10.0.0.2"])


def test_the_node_ends_when_the_last_one_has_drained(looking: Registry, directory: Path) -> None:
    with workers(looking, 2, GDD_DRAIN_TIME="0.3s") as both:
        eventually(lambda: ports(looking) == [7000])
        draining = [threading.Thread(target=registry.drain) for registry in both]
        for thread in draining:
            thread.start()
        eventually(lambda: not ports(looking), timeout=20)
        for thread in draining:
            thread.join(10)
        assert all(registry.status().presence == "left" for registry in both)
    eventually(lambda: not registrars_of(directory))
    assert [*directory.rglob("*.lock"), *directory.rglob("*.sock")] == []


def test_one_that_drains_alone_takes_nothing_with_it(looking: Registry) -> None:
    with workers(looking, 2, GDD_DRAIN_TIME="0s") as (first, second):
        eventually(lambda: ports(looking) == [7000])
        began = time.monotonic()
        first.drain()
        assert time.monotonic() - began < 5
        first.stop()
        assert (ports(looking), ports(second)) == ([7000], [7000])


def test_who_comes_while_the_others_take_their_leave_gets_a_node_of_the_next_ones(looking: Registry) -> None:
    with workers(looking, 1, GDD_DRAIN_TIME="2s") as (old,):
        eventually(lambda: ports(looking) == [7000])
        leaves = threading.Thread(target=old.drain)
        leaves.start()
        eventually(lambda: not ports(looking), timeout=20)
        with workers(looking, 1) as (new,):
            eventually(lambda: ports(looking) == [7000])
            assert new.status().registrar not in (None, old.status().registrar)
            leaves.join(10)


def test_what_the_page_has_each_process_do_is_one_node(looking: Registry) -> None:
    page = (Path(__file__).parents[2] / "docs" / "deploy" / "workers.md").read_text("utf-8")
    (block,) = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    variables = FAST_GOSSIP | {"GDD_MEM_SEED": gossip_address(looking)}
    program = block + "print(registry.status().registrar, flush=True); input()\n"
    with contextlib.ExitStack() as stack:
        both = [
            stack.enter_context(
                process_of(
                    [sys.executable, "-c", program],
                    env=os.environ | variables,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                )
            )
            for _ in range(2)
        ]
        said = {process.stdout.readline() for process in both if process.stdout is not None}
        for process in both:
            process.communicate("\n")
        assert len(said) == 1
        assert said.pop().strip().isdecimal()


# -- a registrar that is killed ----------------------------------------------------------------------------------------


def test_a_registrar_that_is_killed_is_replaced_and_nobody_is_gone_or_there_twice(looking: Registry) -> None:
    with (
        workers(looking, 3) as all_of_them,
        gossiping("users", GDD_MEM_SEED=gossip_address(looking), **SLOW_TO_SUSPECT),
    ):
        balancers = [RoundRobin("users", registry) for registry in all_of_them]
        eventually(lambda: all(ports(registry) and ports(registry, "users") for registry in all_of_them))
        (before,) = {registry.status().registrar for registry in all_of_them}
        assert before is not None
        with looking.watch("orders") as events:
            os.kill(before, signal.SIGKILL)

            def replaced() -> bool:
                assert ports(looking) == [7000]
                for registry, balancer in zip(all_of_them, balancers, strict=True):
                    assert ports(registry, "users") == [6060]
                    assert ports(registry) == [7000]
                    assert balancer.pick().port == 6060
                return all(
                    (status := registry.status()).registrar not in (None, before) and status.ready and not status.stale
                    for registry in all_of_them
                )

            eventually(replaced, timeout=20)
            assert len({registry.status().registrar for registry in all_of_them}) == 1
            events.close()
            assert [event for event in events if not event.member.state.present] == []


def test_while_there_is_none_the_view_is_stale_and_says_so(looking: Registry, directory: Path) -> None:
    with workers(looking, 1) as (worker,):
        eventually(lambda: ports(worker) == [7000])
        (registrar,) = registrars_of(directory)
        os.kill(registrar, signal.SIGKILL)
        eventually(lambda: "orders" in worker.status().stale)
        assert not worker.status().ready
        eventually(lambda: worker.status().ready and not worker.status().stale, timeout=20)


FORKS = """
import os, sys, time
sys.path.insert(0, "{tests}")
from support.held import Holdings
from support.registrars import sharing
registry = sharing("orders", GDD_MEM_SEED="{seed}", GDD_PORT="7000", GDD_MEM_SUSPICION_MULT="20")
registry.start()
child = os.fork()
if not child:
    time.sleep(60)
print(child, flush=True)
time.sleep(60)
"""


def test_a_worker_that_is_killed_is_gone_although_its_own_children_have_its_socket(
    looking: Registry, directory: Path
) -> None:
    program = FORKS.format(tests=Path(__file__).parents[1], seed=gossip_address(looking))
    starts = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {program!r}])"
    with process_of([sys.executable, "-c", starts], stdout=subprocess.PIPE) as above:
        assert above.stdout is not None
        child = int(above.stdout.readline())
        try:
            eventually(lambda: ports(looking) == [7000])
            (worker,) = children(above.pid)
            above.kill()
            os.kill(worker, signal.SIGKILL)
            eventually(lambda: not ports(looking) and not registrars_of(directory), timeout=15)
        finally:
            os.kill(child, signal.SIGKILL)


# -- bad input ---------------------------------------------------------------------------------------------------------


def own_node(registry: Registry, looking: Registry, caplog: pytest.LogCaptureFixture) -> str:
    """Why the registry is a node of its own; it is registered all the same."""
    status = registry.status()
    assert status.registrar is None
    assert status.own_node
    assert [status.own_node in message for message in caplog.messages if "a node of its own" in message]
    eventually(lambda: ports(looking) == ports(registry) == [7000])
    assert registry.status().ready
    return status.own_node


@contextlib.contextmanager
def pretended_registrar(answer: Callable[[socket.socket], None]) -> Iterator[Held]:
    """Somebody who has the place, and answers every connection in a thread."""
    held = Place("orders", 7000).hold()
    assert held is not None
    Place.note_holder(held.lock, f"process {os.getpid()}, a pretender")

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = held.listener.accept()
                with connection, contextlib.suppress(OSError):
                    answer(connection)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield held
    finally:
        held.listener.shutdown(socket.SHUT_RDWR)
        held.close()
        thread.join(10)


def test_a_registrar_of_another_version_is_not_used(looking: Registry, caplog: pytest.LogCaptureFixture) -> None:
    def other_version(connection: socket.socket) -> None:
        connection.recv(65536)
        said = f"process 7 speaks version {VERSION + 1}, and this is version {VERSION}"
        connection.sendall(frame({"kind": "hello", "version": VERSION + 1, "refused": said}))

    with pretended_registrar(other_version), workers(looking, 1) as (worker,):
        assert f"speaks version {VERSION + 1}" in own_node(worker, looking, caplog)


def test_a_worker_of_another_version_is_refused_and_half_a_message_ends_with_who_sent_it(
    looking: Registry, caplog: pytest.LogCaptureFixture
) -> None:
    with workers(looking, 1) as (worker,):
        for said in (frame({"kind": "hello", "version": VERSION + 1}), b"\0\0\0\x10half", b"\xff" * 64):
            with contextlib.closing(Place("orders", 7000).connect()) as stranger:
                assert stranger is not None
                stranger.sendall(said)
                stranger.shutdown(socket.SHUT_WR)
                stranger.settimeout(5)
                answer = list(Frames().feed(stranger.recv(65536)))
            refused = [message["refused"] for message in answer]
            assert refused == [] or f"version {VERSION + 1}" in refused[0]
        assert worker.status().ready
        assert ports(looking) == [7000]


@pytest.mark.parametrize("said", [b"", b"\0\0\0\x10half", b"\xff" * 64], ids=["nothing", "half a message", "nonsense"])
def test_a_registrar_that_breaks_off_is_replaced_once_it_is_gone(looking: Registry, said: bytes) -> None:
    with contextlib.ExitStack() as pretending:
        heard = threading.Event()

        def breaks_off(connection: socket.socket) -> None:
            connection.recv(65536)
            hello = frame({"kind": "hello", "version": VERSION, "refused": "", "again": False, "pid": 7})
            connection.sendall(hello + said)
            heard.set()

        pretending.enter_context(pretended_registrar(breaks_off))
        starts = sharing("orders", GDD_MEM_SEED=gossip_address(looking), GDD_PORT="7000")
        starting = threading.Thread(target=starts.start)
        starting.start()
        assert heard.wait(10)
        pretending.close()
        starting.join(30)
        try:
            eventually(lambda: ports(looking) == [7000] and starts.status().ready, timeout=15)
        finally:
            starts.stop()


def test_a_registrar_that_always_breaks_off_is_done_without(
    looking: Registry, caplog: pytest.LogCaptureFixture
) -> None:
    hello = frame({"kind": "hello", "version": VERSION, "refused": "", "again": False, "pid": 7})
    with pretended_registrar(lambda connection: connection.sendall(hello)), workers(looking, 1) as (worker,):
        assert "the registrar ended 5 times" in own_node(worker, looking, caplog)


def test_a_registrar_that_cannot_be_started_is_done_without(
    looking: Registry, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with workers(looking, 1) as (worker,):
        assert "/nowhere/python" in own_node(worker, looking, caplog)


def test_a_registrar_whose_start_fails_says_so_to_its_workers(
    looking: Registry, caplog: pytest.LogCaptureFixture, directory: Path
) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken, gossiping() as nobody_else:
        taken.bind(("127.0.0.1", 0))
        worker = sharing("orders", GDD_MEM_PORT=str(taken.getsockname()[1]), GDD_MEM_SEED=gossip_address(nobody_else))
        with pytest.raises(Exception, match="port"):
            worker.start()
    assert any("cannot start" in message and "a node of its own" in message for message in caplog.messages)
    eventually(lambda: not registrars_of(directory))


def test_where_nothing_is_writable_each_is_a_node_of_its_own(
    looking: Registry, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/proc/self")
    with workers(looking, 2) as (first, second):
        assert "/proc/self/pydoudou" in own_node(first, looking, caplog)
        assert "/proc/self/pydoudou" in own_node(second, looking, caplog)
        assert gossip_nodes(looking) == 3


def test_without_a_descriptor_to_spare_none_is_started_and_nothing_is_held(
    looking: Registry, caplog: pytest.LogCaptureFixture
) -> None:
    worker = sharing("orders", GDD_MEM_SEED=gossip_address(looking), GDD_PORT="7000")

    def start() -> None:
        with contextlib.suppress(OSError, DiscoveryError):  # for a node of its own there may be none either
            worker.start()

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    spared = [socket.socket() for _ in range(8)]
    fillers = [os.dup(0) for _ in range(max(int(each.name) for each in Path("/proc/self/fd").iterdir()))]
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(fillers) + 1, hard))
        for each in spared:
            each.close()  # the loop of the drivers takes three; the others are too few for a process and its pipes
        starting = threading.Thread(target=start)
        starting.start()
        eventually(lambda: any("Too many open files" in message for message in caplog.messages), timeout=10)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for filler in fillers:
            os.close(filler)
    starting.join(20)
    worker.stop()
    assert any("a node of its own" in message for message in caplog.messages)
    with workers(looking, 1) as (later,):
        assert later.status().registrar is not None


FULL_DISK = """
set -e
mount -t tmpfs -o size=64k,nr_inodes={inodes} none {directory}
exec {python} -c '
import logging, sys
sys.path.insert(0, "{tests}")
from support.held import Holdings
from support.registrars import sharing
with sharing("orders", GDD_PORT="7000") as worker:
    print(worker.status().registrar is None, worker.status().own_node, worker.status().ready)
'
"""


@pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("unshare") is None, reason="mounts a disk: run the tests as root, with util-linux"
)
@pytest.mark.parametrize("inodes", [2, 3], ids=["no room for the lock", "no room for the socket"])
def test_with_a_full_disk_each_is_a_node_of_its_own(inodes: int, directory: Path) -> None:
    script = FULL_DISK.format(
        inodes=inodes, directory=directory, python=sys.executable, tests=Path(__file__).parents[1]
    )
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script], capture_output=True, text=True, timeout=40, check=False
    )
    assert done.stdout.startswith("True [Errno 28] No space left on device"), done.stderr
    assert done.stdout.endswith("True\n")


def test_two_services_with_one_name_and_port_the_second_says_who_holds_it(
    looking: Registry, caplog: pytest.LogCaptureFixture
) -> None:
    with workers(looking, 1) as (first,):
        holder = first.status().registrar
        with workers(looking, 1, GDD_ROUTE_ROOT_PATH="/v2") as (second,):
            assert own_node(second, looking, caplog) == (
                f"process {holder} of this machine, the registrar of orders, port 7000, holds that, with other settings"
            )


# -- a registrar that is frozen ----------------------------------------------------------------------------------------


def hurried(registry: Registry, **seconds: float) -> Registry:
    """The same with other times to wait for a registrar."""
    settings = registry.settings
    node = settings.drivers["registrar"]
    drivers = {"registrar": attrs.evolve(node, timings=attrs.evolve(node.timings, **seconds))}
    return Registry(attrs.evolve(settings, drivers=MappingProxyType(drivers)))


QUICK = {
    "look_every": 0.2,
    "look_otherwise_every": 600.0,
    "stopped_for": 0.3,
    "come_back_after": 0.4,
    "come_back_after_most": 0.8,
}


@contextlib.contextmanager
def quick_workers(looking: Registry, count: int, **seconds: float) -> Iterator[list[Registry]]:
    variables = {"GDD_MEM_SEED": gossip_address(looking), "GDD_PORT": "7000"} | SLOW_TO_SUSPECT
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(hurried(sharing("orders", **variables), **QUICK | seconds)) for _ in range(count)]


@contextlib.contextmanager
def never_nobody(looking: Registry, *registries: Registry) -> Iterator[None]:
    """While the block runs, `orders` is there for everybody, and so is `users` for the workers."""
    seen: list[str] = []
    told: list[MemberEvent] = []
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.005):
            seen.extend(f"{each}: no users" for each in registries if ports(each, "users") != [6060])
            seen.extend(f"{each}: no orders" for each in (looking, *registries) if ports(each) != [7000])

    with watched(looking, "orders", told.append):
        thread = threading.Thread(target=look)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
    assert [event for event in told if not event.member.state.present] == []
    assert seen == []


def test_a_registrar_that_is_stopped_is_killed_and_replaced_and_nobody_is_gone_or_there_twice(
    looking: Registry, directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        quick_workers(looking, 3) as all_of_them,
        gossiping("users", GDD_MEM_SEED=gossip_address(looking), **SLOW_TO_SUSPECT),
    ):
        eventually(lambda: all(ports(each) and ports(each, "users") for each in (looking, *all_of_them)))
        (before,) = {registry.status().registrar for registry in all_of_them}
        assert before is not None
        with never_nobody(looking, *all_of_them):
            os.kill(before, signal.SIGSTOP)
            eventually(
                lambda: all(
                    (status := each.status()).registrar not in (None, before) and status.ready and not status.stale
                    for each in all_of_them
                ),
                timeout=20,
            )
        assert registrars_of(directory) == [*{each.status().registrar for each in all_of_them}]
        eventually(lambda: gossip_nodes(looking) == 3)
        assert [record.getMessage() for record in caplog.records if record.name.endswith("registrar.guard")] == [
            f"the registrar, process {before}, is killed: it was stopped, and did not answer for 0.3 s"
        ]


def test_who_comes_to_a_registrar_that_is_stopped_has_another_one(looking: Registry, directory: Path) -> None:
    never = QUICK | {"look_every": 600.0}
    variables = {"GDD_MEM_SEED": gossip_address(looking), "GDD_PORT": "7000"} | SLOW_TO_SUSPECT
    with hurried(sharing("orders", **variables), **never) as first:
        before = first.status().registrar
        assert before is not None
        os.kill(before, signal.SIGSTOP)
        with hurried(sharing("orders", **variables), **never) as second:
            eventually(lambda: first.status().registrar == second.status().registrar not in (None, before), timeout=20)
            assert registrars_of(directory) == [second.status().registrar]


def test_a_registrar_that_goes_on_in_time_is_left_alone(looking: Registry) -> None:
    """Also one that is stopped, and goes on before it is asked a second time."""
    with quick_workers(looking, 2) as both:
        (before,) = {registry.status().registrar for registry in both}
        assert before is not None
        for _ in range(3):
            os.kill(before, signal.SIGSTOP)
            time.sleep(0.1)
            os.kill(before, signal.SIGCONT)
            time.sleep(0.1)
        assert {registry.status().registrar for registry in both} == {before}


def test_the_next_worker_watches_when_the_one_that_did_is_gone(looking: Registry) -> None:
    with quick_workers(looking, 1) as (first,), quick_workers(looking, 1) as (second,):
        before = second.status().registrar
        assert before is not None
        first.stop()
        second.update({"zone": "a"})  # what is answered after it was heard that the first one is gone
        eventually(lambda: [member.data for member in looking.members("orders")] == [{"zone": "a"}])
        os.kill(before, signal.SIGSTOP)
        eventually(lambda: second.status().registrar not in (None, before), timeout=20)


def test_the_others_watch_too_when_nobody_could_be_chosen(looking: Registry) -> None:
    with quick_workers(looking, 1) as (first,), quick_workers(looking, 1, look_otherwise_every=1.0) as (second,):
        before = second.status().registrar
        assert before is not None
        os.kill(before, signal.SIGSTOP)
        first.stop()
        eventually(lambda: second.status().registrar not in (None, before), timeout=20)


def test_a_registrar_that_runs_and_does_not_answer_is_given_up(
    looking: Registry, caplog: pytest.LogCaptureFixture
) -> None:
    """It is not the process that it says it is, so that nobody is killed for it."""
    asked: list[str] = []
    works = subprocess.Popen([sys.executable, "-c", "while True: pass"])

    def goes_round_in_circles(connection: socket.socket) -> None:
        frames = Frames()
        welcome = {"kind": "hello", "version": VERSION, "refused": "", "again": False, "pid": works.pid}
        state = RegistrarState(ready=True, authoritative=True).to_message()
        told = (welcome, state, members([], whole=True), {"kind": "guard"})
        connection.sendall(b"".join(map(frame, told)))
        while data := connection.recv(65536):
            for message in frames.feed(data):
                asked.append(message["kind"])
                if "number" in message:
                    connection.sendall(frame({"kind": "reply", "number": message["number"], "error": None}))

    variables = {"GDD_MEM_SEED": gossip_address(looking), "GDD_PORT": "7000"}
    never = QUICK | {"ask_every": 0.3, "silent_for": 0.5}
    with works, contextlib.ExitStack() as pretending:
        pretending.callback(works.kill)
        pretending.enter_context(pretended_registrar(goes_round_in_circles))
        with hurried(sharing("orders", **variables), **never) as worker:
            eventually(lambda: "ping" in asked)
            eventually(lambda: any("cannot be killed: it did not answer" in line for line in caplog.messages))
            assert works.poll() is None
            pretending.close()
            eventually(lambda: worker.status().registrar not in (None, works.pid), timeout=20)


# -- back from a node of its own ---------------------------------------------------------------------------------------


def test_workers_that_were_nodes_of_their_own_share_one_again_when_one_can_stand(
    looking: Registry, directory: Path
) -> None:
    """Whoever has their place has other settings, until it is gone."""
    users = gossiping("users", GDD_MEM_SEED=gossip_address(looking), **SLOW_TO_SUSPECT)
    with contextlib.ExitStack() as holding, users:
        holding.enter_context(pretended_registrar(_has_other_settings))
        with quick_workers(looking, 2) as both:
            assert [each.status().own_node for each in both] == ["process 7 holds that, with other settings"] * 2
            eventually(lambda: all(ports(each) and ports(each, "users") for each in both) and ports(looking))
            eventually(lambda: gossip_nodes(looking) == 4)
            with never_nobody(looking, *both):
                holding.close()
                eventually(lambda: all(each.status().registrar is not None for each in both), timeout=20)
                eventually(lambda: gossip_nodes(looking) == 3, timeout=20)
                eventually(lambda: all(each.status().ready and not each.status().stale for each in both), timeout=20)
            assert [each.status().own_node for each in both] == ["", ""]
            assert {each.status().registrar for each in both} == {*registrars_of(directory)}
            assert [member.data for member in looking.members("orders")] == [{}]
            both[0].update({"zone": "a"})
            eventually(lambda: [member.data for member in looking.members("orders")] == [{"zone": "a"}])


def test_who_drains_as_a_node_of_its_own_shares_none_any_more(looking: Registry, directory: Path) -> None:
    with contextlib.ExitStack() as holding:
        holding.enter_context(pretended_registrar(_has_other_settings))
        with quick_workers(looking, 1) as (worker,):
            eventually(lambda: ports(looking) == [7000])
            draining = threading.Thread(target=worker.drain)
            draining.start()
            eventually(lambda: not ports(looking))
            holding.close()
            draining.join(20)
            assert worker.status().presence == "left"
            eventually(lambda: not registrars_of(directory))
            assert not ports(looking)


def _has_other_settings(connection: socket.socket) -> None:
    connection.recv(65536)
    said = "process 7 holds that, with other settings"
    connection.sendall(frame({"kind": "hello", "version": VERSION, "refused": said, "again": False, "pid": 7}))


# -- starts and stops --------------------------------------------------------------------------------------------------


def test_twenty_starts_and_stops_leave_nothing_behind(looking: Registry, directory: Path) -> None:
    with workers(looking, 1):
        pass
    eventually(lambda: not ports(looking) or registrars_of(directory))
    before = Holdings()
    for _ in range(20):
        with workers(looking, 1) as (worker,):
            assert worker.status().registrar is not None
    before.assert_nothing_new(within=15)
