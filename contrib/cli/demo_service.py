"""One service of the demo: a tiny HTTP server that registers itself, and leaves when its standard input closes.

    python -m pydoudou.contrib.cli.demo_service NAME WEIGHT [SEED]

It prints one JSON line once it is registered: its name, its HTTP address and its gossip address.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pydoudou

__all__ = ["GOSSIP", "main"]

HOST = "127.0.0.1"
SERVICE = "orders"
GOSSIP = {
    "GDD_SERVICE_DISCOVERY_MODE": "memberlist",
    "GDD_REGISTER_HOST": HOST,
    "GDD_MEM_HOST": HOST,
    "GDD_MEM_BIND": HOST,
    "GDD_MEM_PORT": "0",
    "GDD_MEM_PROBE_INTERVAL": "1s",
    "GDD_MEM_PROBE_TIMEOUT": "400ms",
    "GDD_MEM_SUSPICION_MULT": "3",
    "GDD_MEM_GOSSIP_INTERVAL": "100ms",
}
"""A demo shall not take minutes: go-doudou's defaults suspect after 5 s and give up after 30."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # one segment per answer: head and body apart wait for each other's acknowledgement

    def do_GET(self) -> None:
        body = json.dumps({"name": os.environ["GDD_MEM_NAME"], "path": self.path}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Not to the demo's screen."""


def main(name: str, weight: str, seed: str = "") -> None:
    """Serve until standard input closes."""
    server = ThreadingHTTPServer((HOST, 0), _Handler)
    server.daemon_threads = True
    os.environ.update(
        GOSSIP,
        GDD_SERVICE_NAME=SERVICE,
        GDD_PORT=str(server.server_address[1]),
        GDD_WEIGHT=weight,
        GDD_MEM_NAME=name,
        GDD_MEM_SEED=seed,
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with pydoudou.new_node({"demo": name}) as registry:
        gossip = registry.status().backends[0].driver.address
        print(json.dumps({"name": name, "http": f"{HOST}:{server.server_address[1]}", "gossip": gossip}), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main(*sys.argv[1:])
