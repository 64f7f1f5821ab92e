"""The fastest HTTP server that a client benchmark needs: it answers every request without a body from one buffer.

    python tests/benchmarks/http_target.py N

listens on N free ports of loopback, tells them as a JSON list on the first line, and ends with its standard input.
"""

from __future__ import annotations

import asyncio
import json
import sys

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 13\r\n\r\n" + b'{"items": []}'


class Answering(asyncio.Protocol):
    """Counts the ends of heads rather than parse them."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(ANSWER * data.count(b"\r\n\r\n"))


async def serve(ports: int) -> None:
    """Answer until standard input ends."""
    loop = asyncio.get_running_loop()
    servers = [await loop.create_server(Answering, "127.0.0.1", 0) for _ in range(ports)]
    print(json.dumps([server.sockets[0].getsockname()[1] for server in servers]), flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
