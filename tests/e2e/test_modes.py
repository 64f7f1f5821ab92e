"""One program, unchanged, with every mode: a service that registers, and a client that calls it."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping

import pytest
from support.gossip import FAST_GOSSIP
from support.nacos import nacos_variables
from support.nacos_server import NacosServer, fresh_service
from support.server_processes import process_of

SERVER = """
import json, os, sys, threading
from http.server import BaseHTTPRequestHandler, HTTPServer
import pydoudou

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({"port": self.server.server_port, "path": self.path}).encode())
    def log_message(self, *arguments):
        pass

server = HTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
os.environ["GDD_PORT"] = str(server.server_port)
with pydoudou.new_node({"zone": "a"}) as registry:
    gossip = next((backend.driver.address for backend in registry.status().backends if backend.driver.address), "")
    print(json.dumps({"port": server.server_port, "gossip": gossip}), flush=True)
    sys.stdin.read()
"""

CLIENT = """
import asyncio, json, os, time
import httpx, requests
import pydoudou
from pydoudou.contrib.httpx import DiscoveryTransport
from pydoudou.contrib.requests import mount

service = os.environ["SERVICE"]

async def call_async():
    async with httpx.AsyncClient(transport=DiscoveryTransport()) as client:
        return (await client.get(f"http://{service}/items")).json()["port"]

with pydoudou.new_node(register=False) as registry:
    deadline = time.monotonic() + 20
    while len(registry.members(service)) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    ports = set()
    session = requests.Session()
    mount(session, service)
    client = httpx.Client(transport=DiscoveryTransport())
    for _ in range(10):
        ports.add(session.get(f"http://{service}/items").json()["port"])
        ports.add(client.get(f"http://{service}/items").json()["port"])
        ports.add(asyncio.run(call_async()))
        ports.add(pydoudou.WeightedRandom(service).pick().port)
    sources = {source for member in registry.members(service) for source in member.sources}
    print(json.dumps({"ports": sorted(ports), "sources": sorted(sources)}))
"""


def started(program: str, variables: Mapping[str, str]) -> contextlib.AbstractContextManager[subprocess.Popen[str]]:
    command, pipe = [sys.executable, "-c", program], subprocess.PIPE
    return process_of(command, env=os.environ | dict(variables), stdin=pipe, stdout=pipe)


@pytest.mark.parametrize("mode", ["memberlist", "nacos", "memberlist,nacos", "static"])
def test_the_same_program_works_in_every_mode(mode: str, request: pytest.FixtureRequest) -> None:
    nacos: NacosServer | None = request.getfixturevalue("nacos") if "nacos" in mode else None
    service = fresh_service()
    common = {**FAST_GOSSIP, **nacos_variables(nacos.address if nacos else "127.0.0.1:1")}
    common |= {"GDD_SERVICE_DISCOVERY_MODE": mode, "SERVICE": service}
    with contextlib.ExitStack() as stack:
        ports, seed = [], ""
        for _ in range(2):
            own = {"GDD_SERVICE_NAME": service, "GDD_MEM_SEED": seed}
            server = stack.enter_context(started(SERVER, common | own))
            assert server.stdout is not None
            ready = json.loads(server.stdout.readline())
            ports.append(ready["port"])
            seed = seed or ready["gossip"]
        addresses = ",".join(f"http://127.0.0.1:{port}" for port in ports)
        where = {"GDD_MEM_SEED": seed, f"GDD_STATIC_{service.upper().replace('-', '_')}": addresses}
        client = stack.enter_context(started(CLIENT, common | where))
        output, _ = client.communicate(timeout=50)
        assert client.returncode == 0
        assert json.loads(output) == {"ports": sorted(ports), "sources": sorted(mode.split(","))}
