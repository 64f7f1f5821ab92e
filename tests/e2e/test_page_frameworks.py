"""The same page under every framework, each a process of its own; and alone, as the command serves it."""

from __future__ import annotations

import contextlib
import json
import re
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.browser import chromium, missing
from support.commands import environment
from support.gossip import FAST_GOSSIP, gossip_address, gossip_nodes, gossiping
from support.page_program import FRAMEWORKS
from support.server_processes import free_port, process_of
from support.waiting import eventually

PROGRAM = Path(__file__).parents[1] / "support" / "page_program.py"
MANUAL = Path(__file__).parents[2] / "docs" / "page.md"
PAGE = "/go-doudou/registry"
FIXED = {
    "GDD_SERVICE_DISCOVERY_MODE": "static",
    "GDD_STATIC_ORDERS": "http://10.0.0.1:8080,http://10.0.0.2:8080;weight=2",
    "GDD_STATIC_STOCK": "http://10.0.0.3:8080",
}


@contextlib.contextmanager
def program(*command: str, **variables: str) -> Iterator[subprocess.Popen[str]]:
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with process_of([sys.executable, *command], env=environment(**variables), **pipes) as process:
        yield process


@contextlib.contextmanager
def served(framework: str, **variables: str) -> Iterator[str]:
    """The base URL of such a program."""
    with program(str(PROGRAM), framework, **variables) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        yield process.stdout.readline().strip() or pytest.fail(process.stderr.read())


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """None where there is none."""
    if missing():
        yield None
        return
    with chromium() as browser:
        yield browser


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_the_page_is_the_same_beside_any_application(framework: str, browser: Any) -> None:
    with served(framework, **FIXED) as url, httpx.Client(base_url=url, timeout=20) as client:
        assert "own" in client.get("/").text
        page = client.get(PAGE)
        assert page.status_code == 200
        assert "default-src 'none'" in page.headers["content-security-policy"]
        for name in re.findall(r'(?:href|src)="(registry\.[a-z]+|config|prometheus)"', page.text):
            assert client.get(f"/go-doudou/{name}").status_code == 200, name
        told = client.get(f"{PAGE}.json").json()
        fixed = [f"http://10.0.0.{n}:8080" for n in (1, 2, 3)]
        assert [row["baseUrl"] for row in told["rows"]] == fixed
        assert client.get("/go-doudou/health").text == "ready\n"
        assert client.get(PAGE, headers={"Host": "rebound.example"}).status_code == 403
        assert client.post(PAGE).status_code == 405
        if browser is not None:
            page = browser.new_page()
            page.goto(url + PAGE)
            page.locator("tbody .more").first.wait_for(timeout=20_000)
            assert page.locator("tbody td.address").all_inner_texts() == fixed
            page.close()


# -- alone -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_command_serves_the_page_alone_and_leaves_at_once_with_a_browser_still_there(
    number: signal.Signals, code: int
) -> None:
    listen = f"127.0.0.1:{free_port()}"
    with gossiping("orders", GDD_PORT="7001") as registry:
        seed = gossip_address(registry)
        with program("-m", "pydoudou", "page", "--join", seed, "--listen", listen, **FAST_GOSSIP) as process:
            assert process.stdout is not None
            said = process.stdout.readline()
            assert f"http://{listen}{PAGE}" in said
            assert "this machine only" in process.stdout.readline()
            url = f"http://{listen}"
            eventually(lambda: _rows(url), 20)
            (row,) = _rows(url)
            assert (row["svcName"], row["svcPort"], row["memPort"]) == ("orders", 7001, int(seed.rpartition(":")[2]))
            with httpx.Client() as client, client.stream("GET", f"{url}/go-doudou/registry.events") as stream:
                lines = stream.iter_lines()
                assert next(line for line in lines if line.startswith("data:"))
                assert gossip_nodes(registry) == 2
                process.send_signal(number)
                began = time.monotonic()
                with contextlib.suppress(httpx.HTTPError):
                    for _ in lines:
                        pass
                assert process.wait(20) == code
                assert time.monotonic() - began < 10
            eventually(lambda: gossip_nodes(registry) == 1, 2)
            assert process.stderr is not None
            assert "Traceback" not in process.stderr.read()


def test_the_command_ends_at_once_although_wrong_passwords_wait_for_their_answers() -> None:
    port = free_port()
    listen = f"127.0.0.1:{port}"
    guess = f"GET {PAGE} HTTP/1.1\r\nHost: {listen}\r\nAuthorization: Basic {'A' * 8}\r\n\r\n".encode()
    password = {"GDD_MANAGE_USER": "op", "GDD_MANAGE_PASS": "geheim"}
    with program("-m", "pydoudou", "page", "--listen", listen, **FAST_GOSSIP, **password) as process:
        assert process.stdout is not None
        assert listen in process.stdout.readline()
        with contextlib.ExitStack() as open_now:
            guesses = [open_now.enter_context(socket.create_connection(("127.0.0.1", port))) for _ in range(6)]
            for connection in guesses:
                connection.sendall(guess)
            while not (answered := select.select(guesses, [], [], 20)[0]):
                pass
            assert answered[0].recv(12) == b"HTTP/1.1 401"
            process.send_signal(signal.SIGINT)
            began = time.monotonic()
            _, errors = process.communicate(timeout=20)
            took = time.monotonic() - began
    assert process.returncode == 130
    assert errors.count("\n") == 1, errors
    assert "wrong name or password from 127.0.0.1" in errors
    assert took < 2


def _rows(url: str) -> list[dict[str, object]]:
    try:
        found: list[dict[str, object]] = json.loads(httpx.get(f"{url}{PAGE}.json", timeout=20).content)["rows"]
    except httpx.TransportError:
        return []
    return found


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["--listen", "127.0.0.1:99999"], 2, "is not HOST:PORT"),
        (["--listen", "192.0.2.1:6061"], 1, "cannot listen"),
        (["--join", "a:b:c"], 2, "GDD_MEM_SEED"),
        (["extra"], 2, "unexpected"),
    ],
)
def test_what_cannot_be_is_said_in_a_line(arguments: list[str], code: int, told: str) -> None:
    listen = [] if "--listen" in arguments else ["--listen", f"127.0.0.1:{free_port()}"]
    with program("-m", "pydoudou", "page", *arguments, *listen, **FAST_GOSSIP) as process:
        output, errors = process.communicate(timeout=40)
    assert process.returncode == code
    assert told in errors
    assert "Traceback" not in output + errors


# -- the manual --------------------------------------------------------------------------------------------------------


def test_the_example_of_the_manual_runs_and_its_server_ends_although_a_page_is_open(tmp_path: Path) -> None:
    (example,) = re.findall(r"^```python\n(.*?)^```", MANUAL.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    (tmp_path / "example.py").write_text(example, "utf-8")
    port = str(free_port())
    variables = FAST_GOSSIP | {"GDD_SERVICE_NAME": "orders", "GDD_PORT": port, "GDD_DRAIN_TIME": "100ms"}
    command = ("-m", "uvicorn", "--app-dir", str(tmp_path), "--port", port, "example:app")
    with program(*command, **variables) as process:
        url = f"http://127.0.0.1:{port}"
        eventually(lambda: _rows(url), 30)
        with httpx.Client(timeout=30) as client, client.stream("GET", f"{url}/go-doudou/registry.events") as stream:
            lines = stream.iter_lines()
            assert next(line for line in lines if line.startswith("data:"))
            process.send_signal(signal.SIGTERM)
            with contextlib.suppress(httpx.HTTPError):
                for _ in lines:
                    pass
        _, errors = process.communicate(timeout=20)
    assert "Traceback" not in errors
