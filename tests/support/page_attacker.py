"""Guesses the page's password: ``python page_attacker.py PORT SECONDS``, a thousand times a second, each time over a
connection of its own. Prints how many guesses it sent, and how many were answered with which status, as JSON.
"""

from __future__ import annotations

import asyncio
import base64
import collections
import json
import sys
import time

__all__ = ["main"]

_RATE = 1000
_PATIENCE = 2.0


async def _guess(port: int, number: int, answers: collections.Counter[str]) -> None:
    pair = base64.b64encode(f"op:guess-{number}".encode()).decode()
    try:
        async with asyncio.timeout(_PATIENCE):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                head = f"GET /go-doudou/registry HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Basic {pair}\r\n\r\n"
                writer.write(head.encode())
                answers["sent"] += 1
                line = await reader.readline()
                answers[line.split()[1].decode() if line else "closed"] += 1
            finally:
                writer.close()
    except TimeoutError:
        answers["held back"] += 1
    except OSError:
        answers["no connection"] += 1


async def main(port: int, seconds: float) -> None:
    """Guess for so long."""
    answers: collections.Counter[str] = collections.Counter()
    began, number = time.monotonic(), 0
    async with asyncio.TaskGroup() as tasks:
        while (elapsed := time.monotonic() - began) < seconds:
            while number < elapsed * _RATE:
                tasks.create_task(_guess(port, number, answers))
                number += 1
            await asyncio.sleep(0.01)
    print(json.dumps(answers))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), float(sys.argv[2])))
