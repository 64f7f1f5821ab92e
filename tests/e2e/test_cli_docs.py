"""Every example of the manual's pages on the commands and on the page, run as it stands, on a machine of its own whose
addresses and ports are those of the manual.
"""

from __future__ import annotations

import base64
import contextlib
import json
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest
from support.commands import COMMAND, Terminal, environment, pydoudou, running
from support.effort import EFFORT
from support.gossip import FAST_GOSSIP
from support.namespaces import Host, network
from support.server_processes import end_by_its_input, process_of

DOCS = Path(__file__).parents[2] / "docs"
SERVICE = "import pydoudou, sys\nwith pydoudou.new_node():\n    print('there', flush=True)\n    sys.stdin.read()"
WEB = {
    "web-1": {"GDD_SERVICE_NAME": "orders", "GDD_PORT": "8081", "GDD_MEM_PORT": "7946"},
    "web-2": {"GDD_SERVICE_NAME": "orders", "GDD_PORT": "8082", "GDD_MEM_PORT": "44197", "GDD_WEIGHT": "3"},
    "web-3": {"GDD_SERVICE_NAME": "users", "GDD_PORT": "8083", "GDD_MEM_PORT": "42167"},
}
OLD, NEW = (base64.b64encode(bytes([byte]) * 32).decode() for byte in (1, 2))
VARYING = (
    (r"\b\d\d:\d\d:\d\d\b", "TIME"),
    (r"\b(\d+ min )?\d+ s\b", "AGE"),
    (r"\b\d+\.\d\d ms\b", "MILLISECONDS"),
    (r"\b[\w-]+-[0-9a-f]{6} at 127\.0\.0\.1:\d+", "NODE"),
    (r"\([0-9a-f]{8}\)", "(FINGERPRINT)"),
    (r" +", " "),
)
"""What is another one each time."""


@attrs.frozen
class Example:
    """A command as the manual has it, and what it says there."""

    command: str
    said: str

    @property
    def arguments(self) -> list[str]:
        """Those of ``pydoudou``."""
        return shlex.split(self.command)[1:]

    def assert_is(self, said: str) -> None:
        """That is what it says, but for what varies; an ellipsis of the manual is anything."""
        pattern = re.escape(normal(self.said)).replace("…", "[^\n]*")
        assert re.fullmatch(pattern, normal(said)), f"{self.command}:\n{said}\nand in the manual\n{self.said}"


def normal(text: str) -> str:
    for pattern, word in VARYING:
        text = re.sub(pattern, word, text)
    return text.strip()


def examples(page: str) -> dict[str, list[Example]]:
    """All of one page, by the heading that they stand under."""
    found: dict[str, list[Example]] = {}
    text = (DOCS / page).read_text("utf-8")
    for heading, section in re.findall(r"^(?:## |# )(.*?)\n(.*?)(?=^## |\Z)", text, flags=re.MULTILINE | re.DOTALL):
        for block in re.findall(r"^```console\n(.*?)^```", section, flags=re.MULTILINE | re.DOTALL):
            for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
                command, _, said = part.partition("\n")
                found.setdefault(heading, []).append(Example(command, said))
    return found


MANUAL = examples("cli.md")
(EXPORTED, MEMBERS, SERVICES) = MANUAL["Joining to look"]
TOLD = dict(each.split("=", 1) for each in EXPORTED.arguments)
"""What the manual has exported before the first command, and for all that follow."""


def test_every_section_of_the_manual_with_examples_is_run_here() -> None:
    run = {"Joining to look", "events", "status", "ping", "leave", "doctor", "settings", "keys", "sd", "simulate"}
    assert MANUAL.keys() == run | {"explain", "Completion"}, "the last one: see test_cli"


@pytest.fixture(scope="module")
def machines() -> Iterator[list[Host]]:
    """Three that know nothing of each other, with the addresses of the manual."""
    with network(3) as hosts:
        for host in hosts:
            for address in ("10.0.0.1", "10.0.0.2"):
                subprocess.run(["ip", "-n", host.name, "addr", "add", f"{address}/32", "dev", "lo"], check=True)
        yield hosts


@pytest.fixture(scope="module")
def empty(machines: list[Host]) -> Host:
    """The machine on which nothing runs."""
    return machines[0]


@contextlib.contextmanager
def service(host: Host, name: str, **variables: str) -> Iterator[subprocess.Popen[str]]:
    """A process that offers something, until its input is closed."""
    own = (
        FAST_GOSSIP
        | {"GDD_MEM_BIND": "0.0.0.0", "GDD_MEM_NAME": name, "GDD_MEM_SEED": "127.0.0.1"}
        | (variables or WEB[name])
    )
    own["GDD_MEM_SUSPICION_MULT"] = "10"  # long enough for whoever wants to see a node suspected
    with process_of(
        [*host.enter, sys.executable, "-c", SERVICE],
        env=environment(**own),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "there\n"
        yield process
        end_by_its_input(process)


@contextlib.contextmanager
def cluster(host: Host) -> Iterator[subprocess.Popen[str]]:
    """The three services of the manual on one machine; gives ``web-2``, which may be killed."""
    with service(host, "web-1"), service(host, "web-3"), service(host, "web-2") as second:
        yield second


@pytest.fixture(scope="module")
def web(machines: list[Host]) -> Iterator[Host]:
    """The machine with the three services, which stay."""
    with cluster(machines[1]):
        yield machines[1]


@pytest.fixture
def doomed(machines: list[Host]) -> Host:
    """A machine for services of which one is killed."""
    return machines[2]


def run(example: Example, host: Host, **variables: str) -> str:
    """What a command says, on both of its outputs."""
    done = subprocess.run(
        [*host.enter, *COMMAND, *example.arguments],
        env=environment(**(TOLD | variables)),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=50,
        check=False,
    )
    return done.stdout


@pytest.mark.parametrize(
    "example",
    [MEMBERS, SERVICES, *MANUAL["status"], *MANUAL["ping"], *MANUAL["explain"]],
    ids=lambda example: example.command.removeprefix("pydoudou "),
)
def test_what_looks_at_a_cluster_says_what_the_manual_says(example: Example, web: Host) -> None:
    said = run(example, web)
    if example.said:
        example.assert_is(said)
    else:
        assert "127.0.0.1:8082" in said


def test_what_follows_says_what_the_manual_says(doomed: Host) -> None:
    (example,) = MANUAL["events"]
    lines = example.said.splitlines()
    with cluster(doomed) as web_2, running(*example.arguments, enter=doomed.enter, **TOLD) as process:
        assert process.stdout is not None
        said = [process.stdout.readline() for _ in range(3)]
        web_2.kill()
        said += [process.stdout.readline() for _ in lines[3:]]
    example.assert_is("".join(said))


def test_a_node_that_is_gone_is_taken_out_as_the_manual_says(doomed: Host) -> None:
    (example,) = MANUAL["leave"]
    with cluster(doomed) as web_2:
        with running("events", "--follow", enter=doomed.enter, **TOLD) as process:
            assert process.stdout is not None
            for _ in WEB:
                process.stdout.readline()
            web_2.kill()
            assert "alive -> suspect" in process.stdout.readline()
        with Terminal(*example.arguments, enter=doomed.enter, **TOLD) as terminal:
            terminal.wait_for("[y/N]")
            terminal.write("y\n")
            assert terminal.end() == 0
            example.assert_is("\n".join(terminal.lines))


def test_the_targets_of_prometheus_are_those_of_the_manual(web: Host, tmp_path: Path) -> None:
    (example,) = MANUAL["sd"]
    folder = "/etc/prometheus/targets"
    command = example.command.replace(folder, str(tmp_path))
    with running(*shlex.split(command)[1:], enter=web.enter, **TOLD) as process:
        assert process.stdout is not None
        example.assert_is(process.stdout.readline().replace(str(tmp_path), folder))
    (told,) = json.loads(re.findall(r"```json\n(.*?)```", (DOCS / "cli.md").read_text("utf-8"), re.DOTALL)[0])
    written = json.loads((tmp_path / "services.json").read_text())
    assert told["labels"].keys() == written[0]["labels"].keys()
    fixed = {name: value for name, value in told["labels"].items() if name != "go_ver"}
    assert any(group["targets"] == told["targets"] and fixed.items() <= group["labels"].items() for group in written)


def test_the_doctor_finds_what_the_manual_says(empty: Host) -> None:
    exported, example = MANUAL["doctor"]
    variables = dict(each.split("=", 1) for each in exported.arguments)
    with process_of(
        [*empty.enter, sys.executable, "-u", "-m", "http.server", "8081", "--bind", "127.0.0.1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as server:
        assert server.stdout is not None
        server.stdout.readline()
        example.assert_is(run(example, empty, **variables))


def test_the_settings_are_shown_as_in_the_manual(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (example,) = MANUAL["settings"]
    (tmp_path / ".env").write_text(f"GDD_PORT=8081\nGDD_MEM_SECRET_KEY={OLD}\n")
    monkeypatch.chdir(tmp_path)
    done = pydoudou(*example.arguments, GDD_SERVICE_NAME="orders")
    example.assert_is((done.stderr + done.stdout).replace(str(tmp_path), "/srv/orders"))


def test_keys_are_told_apart_as_in_the_manual(empty: Host) -> None:
    (example,) = MANUAL["keys"]
    both = f"{OLD},{NEW}"

    def sealed(name: str, key: str) -> contextlib.AbstractContextManager[subprocess.Popen[str]]:
        address = f"10.0.0.{name[-1]}"
        own = {"GDD_MEM_BIND": address, "GDD_MEM_HOST": address, "GDD_MEM_PORT": "7946", "GDD_MEM_SEED": "10.0.0.1"}
        return service(empty, name, **own, GDD_SERVICE_NAME="orders", GDD_PORT="80", GDD_MEM_SECRET_KEY=key)

    with sealed("web-1", both), sealed("web-2", OLD):
        example.assert_is(run(example, empty, GDD_MEM_HOST="10.0.0.1", GDD_MEM_SECRET_KEY=both))


@pytest.mark.parametrize("example", MANUAL["simulate"], ids=lambda example: example.command)
def test_a_simulation_of_the_manual_runs(example: Example) -> None:
    shorter = [] if EFFORT > 1 else ["--seconds", "3"]
    done = pydoudou(*example.arguments, *shorter)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(r"\b(slow|refusing)\b", done.stdout)


def test_the_page_says_where_it_is_as_the_manual_says(web: Host) -> None:
    _, example = examples("page.md")["The registry page"]
    with running(*example.arguments, enter=web.enter, **TOLD) as process:
        assert process.stdout is not None
        example.assert_is("".join(process.stdout.readline() for _ in example.said.splitlines()))
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
