"""The examples of the manual's pages on security, on logging and on deploying run as they stand."""

from __future__ import annotations

import base64
import os
import re
import signal
import subprocess
import sys

import pytest
from support.gossip import FAST_GOSSIP, gossip_address, gossip_nodes, gossiping
from support.manual import blocks
from support.server_processes import process_of
from support.waiting import eventually

from pydoudou import MemberState, Settings
from pydoudou.drivers.environment import Environment
from pydoudou.drivers.memberlist.settings import SECRET_KEY, read_keys

OLD, NEW = (base64.b64encode(bytes(range(first, first + 32))).decode() for first in (0, 32))


def test_the_key_that_the_page_makes_is_one() -> None:
    (console,) = blocks("security.md", "console")
    command = re.fullmatch(r"\$ pydoudou (.*)\n", console)
    assert command is not None
    program = [sys.executable, "-m", "pydoudou", *command[1].split()]
    made = subprocess.run(program, capture_output=True, text=True, check=True).stdout
    environment = Environment({SECRET_KEY: made.strip()})
    assert [len(key) for key in read_keys(environment)] == [32]
    environment.check()


def test_a_key_is_changed_step_by_step_while_everybody_stays() -> None:
    (steps,) = blocks("security.md", "python")
    with gossiping("orders", GDD_MEM_SECRET_KEY=OLD) as one:
        with gossiping("users", GDD_MEM_SECRET_KEY=OLD, GDD_MEM_SEED=gossip_address(one)) as two:
            for step in steps.splitlines():
                for registry in (one, two):
                    exec(step, {"registry": registry, "old": OLD, "new": NEW})
                one.update({"step": step[:8] + step[-8:]})
                eventually(
                    lambda step=step: [m.data for m in two.members("orders")] == [{"step": step[:8] + step[-8:]}]
                )
            with gossiping(GDD_MEM_SECRET_KEY=OLD, GDD_MEM_SEED=gossip_address(one)) as late:
                assert gossip_nodes(late) == 1
            with gossiping(GDD_MEM_SECRET_KEY=NEW, GDD_MEM_SEED=gossip_address(one)) as looking:
                eventually(lambda: gossip_nodes(looking) == 3)


SERVICE = """
import sys, time
import pydoudou
{handler}
pydoudou.new_node()
print("up", flush=True)
while True:
    time.sleep(0.1)
"""


@pytest.mark.parametrize("own_handler", [False, True])
def test_at_sigterm_a_service_leaves_with_the_pages_handler_and_without_any(own_handler: bool) -> None:
    handler = blocks("deploy/signals.md", "python")[0]
    with gossiping() as looking:
        environment = os.environ | FAST_GOSSIP | {"GDD_SERVICE_NAME": "orders", "GDD_MEM_SEED": gossip_address(looking)}
        program = SERVICE.format(handler=handler if own_handler else "")
        with process_of([sys.executable, "-c", program], env=environment, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "up\n"
            eventually(lambda: looking.members("orders"))
            with looking.watch("orders") as watch:
                process.send_signal(signal.SIGTERM)
                assert process.wait(10) == (0 if own_handler else -signal.SIGTERM)
                assert next(iter(watch)).member.state is MemberState.LEFT


SERVERS = ("docker", "one-machine", "servers", "gunicorn", "uvicorn", "django", "celery")


@pytest.mark.parametrize("page", [f"deploy/{name}.md" for name in SERVERS])
def test_the_variables_of_the_commands_are_settings(page: str) -> None:
    variables = {
        name: value for console in blocks(page, "console") for name, value in re.findall(r"\b(GDD_\w+)=(\S+)", console)
    }
    assert variables
    Settings.from_env({"GDD_SERVICE_NAME": "orders", **variables})


def test_what_the_page_sets_up_shows_a_nodes_life() -> None:
    program, _ = blocks("logging.md", "python")
    environment = os.environ | FAST_GOSSIP | {"GDD_SERVICE_NAME": "orders"}
    program += "import pydoudou\nwith pydoudou.new_node(): pass"
    run = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=50)
    assert re.search(r"INFO pydoudou\.drivers\.memberlist\.node: gossip node .* listens on port \d+", run.stderr)


def test_without_anything_set_up_a_node_whose_life_is_ordinary_prints_nothing() -> None:
    environment = os.environ | FAST_GOSSIP | {"GDD_SERVICE_NAME": "orders"}
    program = "import pydoudou\nwith pydoudou.new_node(): pass"
    run = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=50)
    assert (run.stdout, run.stderr) == ("", "")
