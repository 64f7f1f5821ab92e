"""What strangers do with connections to a gossip node: it ends the connection, never the node."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import resource
import socket
import struct
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from support.gossip import gossip_address, gossiping
from support.waiting import eventually

from pydoudou import Registry
from pydoudou.drivers.memberlist.node import GossipNode
from pydoudou.drivers.memberlist.protocol import Config
from pydoudou.drivers.memberlist.protocol.stream_limits import MAX_STREAMS_PER_SOURCE

TESTS = Path(__file__).parents[1]
PING = b"\x00\x81\xa5SeqNo\x07"


def endpoint(registry: Registry) -> tuple[str, int]:
    host, _, port = gossip_address(registry).rpartition(":")
    return host, int(port)


def counter(registry: Registry, name: str) -> int:
    return registry.status().backends[0].driver.counters.get(name, 0)


def restarts(registry: Registry) -> int:
    return registry.status().backends[0].restarts


def answers(registry: Registry, source: str = "127.0.0.1") -> bool:
    """Whether a ping over TCP gets its ack."""
    with socket.create_connection(endpoint(registry), timeout=5, source_address=(source, 0)) as connection:
        connection.sendall(PING)
        return connection.recv(100).endswith(b"\xa5SeqNo\x07")


def closed_by_peer(connection: socket.socket) -> bool:
    connection.settimeout(5)
    with contextlib.suppress(ConnectionResetError):
        return connection.recv(1) == b""
    return True


@pytest.fixture
def registry() -> Iterator[Registry]:
    with gossiping("orders") as registry:
        yield registry
        assert restarts(registry) == 0


def test_connections_that_are_reset_at_once_do_no_harm(registry: Registry) -> None:
    """As port scanners do: the peer's address is gone before anybody asks for it."""
    for _ in range(200):
        with socket.create_connection(endpoint(registry)) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert answers(registry)


def test_one_source_may_only_have_so_many_connections(registry: Registry) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(MAX_STREAMS_PER_SOURCE):
            stack.enter_context(socket.create_connection(endpoint(registry)))
        with socket.create_connection(endpoint(registry)) as one_more:
            assert closed_by_peer(one_more)
        assert counter(registry, "too_many_connections") == 1
        assert answers(registry, source="127.0.0.2")
    eventually(lambda: answers(registry))


def test_a_connection_on_which_nothing_comes_is_closed_after_the_tcp_timeout() -> None:
    with gossiping("orders", GDD_MEM_TCP_TIMEOUT="200ms") as registry:
        with socket.create_connection(endpoint(registry)) as silent:
            silent.sendall(b"\x00")
            assert closed_by_peer(silent)
        assert restarts(registry) == 0


@pytest.mark.upstream("TestMemberlist_Join_DeadNode")
def test_a_join_through_a_peer_that_stays_silent_fails_within_the_tcp_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        seed = "{}:{}".format(*silent.getsockname())
        with gossiping(GDD_MEM_SEED=seed, GDD_MEM_TCP_TIMEOUT="300ms") as registry:
            status = registry.status().backends[0].driver
            assert not status.ready
            assert f"{seed}: no answer in time" in status.message


def test_a_connection_from_outside_the_allow_list_is_closed_unread_and_counted() -> None:
    with gossiping("orders", GDD_MEM_CIDRS_ALLOWED="127.0.0.1/32") as guarded:
        assert answers(guarded)
        with socket.create_connection(endpoint(guarded), source_address=("127.0.0.2", 0)) as stranger:
            assert closed_by_peer(stranger)
        assert counter(guarded, "address_not_allowed") == 1


@pytest.mark.upstream("TestTransport_TcpListenBackoff")
def test_a_process_without_free_file_descriptors_waits_longer_and_longer_and_goes_on() -> None:
    """The waits are 5, 10, 20 … ms: eight tries take 635 ms, and without them there would be thousands."""
    program = textwrap.dedent("""
        import os, resource, socket, time
        from support.gossip import gossip_address, gossiping
        from support.waiting import eventually

        with gossiping("orders") as registry:
            driver = lambda: registry.status().backends[0].driver
            host, _, port = gossip_address(registry).rpartition(":")
            refused = lambda: driver().counters.get("cannot_accept", 0)
            connection = socket.socket()
            resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
            taken = []
            try:
                while True:
                    taken.append(os.open(os.devnull, os.O_RDONLY))
            except OSError:
                pass
            connection.connect((host, int(port)))
            eventually(lambda: refused() >= 1)
            began = time.monotonic()
            eventually(lambda: refused() >= 8)
            print(f"{time.monotonic() - began:.3f} {refused()}")
            for descriptor in taken:
                os.close(descriptor)
            connection.sendall(b"\\x00\\x81\\xa5SeqNo\\x07")
            connection.settimeout(5)
            print(connection.recv(100)[-7:], registry.status().backends[0].restarts)
    """)
    command = [sys.executable, "-c", program]
    run = subprocess.run(command, capture_output=True, text=True, timeout=50, env={"PYTHONPATH": str(TESTS)})
    assert run.returncode == 0, run.stderr
    (took, tries), answer = run.stdout.split("\n")[0].split(), run.stdout.split("\n")[1]
    assert float(took) >= 0.6
    assert int(tries) <= 12
    assert answer == "b'\\xa5SeqNo\\x07' 0"
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 64


def test_what_strangers_send_is_logged_once_a_minute_for_each_kind(
    registry: Registry, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        for _ in range(100):
            stranger.sendto(b"\xff", endpoint(registry))
        stranger.sendto(b"", endpoint(registry))
        eventually(lambda: counter(registry, "bad_message") == 100 and counter(registry, "bad_packet") == 1)
        port = stranger.getsockname()[1]
    said = [record.getMessage() for record in caplog.records]
    assert [line.partition(":")[0] for line in said] == ["bad message", "bad packet"]
    assert all(f":{port})" in line for line in said)


def test_logs_are_silenced_on_request(caplog: pytest.LogCaptureFixture) -> None:
    with gossiping("orders", GDD_MEM_LOG_DISABLE="true") as registry:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            stranger.sendto(b"\xff", endpoint(registry))
        eventually(lambda: counter(registry, "bad_message") == 1)
    assert caplog.records == []
    with gossiping("orders") as registry:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            stranger.sendto(b"\xff", endpoint(registry))
        eventually(lambda: len(caplog.records) == 1)


def test_a_connection_that_comes_as_the_node_ends_is_no_failure_of_the_loop() -> None:
    """The cancelling is in the queue before the listener is found to have one."""
    failures: list[dict[str, Any]] = []

    async def end_as_somebody_connects() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: failures.append(context))
        node = GossipNode(Config.local("orders-1", "127.0.0.1", 0), bind="127.0.0.1")
        async with anyio.create_task_group() as tasks:
            await tasks.start(node.run)
            await anyio.wait_all_tasks_blocked()
            with socket.create_connection(("127.0.0.1", node.swim.config.advertise_port)):
                loop.call_soon(tasks.cancel_scope.cancel)
                await anyio.sleep_forever()

    anyio.run(end_as_somebody_connects)
    assert failures == []
