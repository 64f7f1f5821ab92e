"""The way of a datagram: how many Python calls lie between the socket and the published snapshot.

    python tests/benchmarks/datagram.py [--calls]

One alive message about an unknown node, with 250 bytes of metadata, is sent to a registry that only looks. What is
counted are the calls of Python functions, those that attrs and dataclasses generate included, from the reading of the
socket until the snapshot that has the new member is made. There is no goal; the number shows when a layer is added.
"""

from __future__ import annotations

import argparse
import collections
import socket
import sys
import threading
import time
from pathlib import Path
from types import FrameType

sys.path.insert(0, str(Path(__file__).parents[1]))
from support.gossip import gossip_address, gossiping

from pydoudou.drivers.memberlist.metadata import encode_instance
from pydoudou.drivers.memberlist.protocol.messages import Alive
from pydoudou.drivers.members import Instance

META_BYTES = 250
VSN = bytes((1, 5, 2, 0, 0, 0))
READS, PUBLISHED = "_drain", "snapshot.Snapshot"
PATIENCE_S = 10.0


class Way:
    """Notes the calls of a thread, from each reading of a socket on."""

    def __init__(self) -> None:
        self._calls: list[tuple[str, str]] | None = None
        self.calls: list[tuple[str, str]] = []

    def profile(self, frame: FrameType, event: str, argument: object) -> None:
        if event != "call" or self.calls:
            return
        code = frame.f_code
        if code.co_name == READS:
            self._calls = []
        if self._calls is not None:
            module = str(frame.f_globals.get("__name__", "")) or code.co_filename
            self._calls.append((module, code.co_qualname))
            if code.co_name == "__init__" and PUBLISHED in code.co_filename:
                self.calls = self._calls


def alive() -> bytes:
    """About a node that offers one service, in the shapes of both generations of go-doudou."""
    spare = META_BYTES - len(encode_instance(Instance("orders", "127.0.0.1", 8080)))
    meta = encode_instance(Instance("orders", "127.0.0.1", 8080, root_path="/" + "x" * (spare // 2 - 1)))
    return Alive(1, "node-1", b"127.0.0.1", 7946, meta, VSN).encode()


def travelled() -> list[tuple[str, str]]:
    """Module and name of every function on the way, in order; empty if the datagram did not arrive."""
    way = Way()
    threading.setprofile(way.profile)
    with gossiping() as registry, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        threading.setprofile(None)
        host, _, port = gossip_address(registry).rpartition(":")
        peer.sendto(alive(), (host, int(port)))
        deadline = time.monotonic() + PATIENCE_S
        while not way.calls and time.monotonic() < deadline:
            time.sleep(0.01)
    return way.calls


def main() -> None:
    parser = argparse.ArgumentParser(description="How many calls lie between the socket and the published snapshot.")
    parser.add_argument("--calls", action="store_true", help="name them all, in order")
    options = parser.parse_args()
    calls = travelled()
    if not calls:
        sys.exit("the datagram did not arrive")
    if options.calls:
        print("\n".join(map(".".join, calls)))
    modules = collections.Counter(module for module, _ in calls)
    print(f"Python calls from the socket to the snapshot, a new node with {META_BYTES} bytes of metadata: {len(calls)}")
    print(f"  in {len(modules)} modules; most in " + ", ".join(f"{name} ({n})" for name, n in modules.most_common(4)))


if __name__ == "__main__":
    main()
