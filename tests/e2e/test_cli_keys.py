"""``pydoudou keygen`` and ``pydoudou keys`` as their users have them."""

from __future__ import annotations

import base64
import json
import signal
import time

import pytest
from support.commands import Terminal, pydoudou, running
from support.gossip import gossip_address, gossiping
from support.waiting import eventually

OLD, NEW, OTHER = (base64.b64encode(bytes([byte]) * 32).decode() for byte in (1, 2, 3))
LOOPBACK = {"GDD_MEM_HOST": "127.0.0.1", "GDD_MEM_BIND": "127.0.0.1"}


@pytest.mark.parametrize(("options", "size"), [([], 32), (["--bytes", "16"], 16), (["--bytes", "24"], 24)])
def test_a_new_key_has_the_size_that_is_asked_for(options: list[str], size: int) -> None:
    first, second = (pydoudou("keygen", *options).stdout.strip() for _ in range(2))
    assert first != second
    assert len(base64.b64decode(first, validate=True)) == size


def test_from_one_key_the_plan_is_three_values_through_which_nobody_is_locked_out() -> None:
    done = pydoudou("keys", "plan", "--json", GDD_MEM_SECRET_KEY=OLD, **LOOPBACK)
    assert done.returncode == 0, done.stderr
    values = [json.loads(line)["value"].split(",") for line in done.stdout.splitlines()]
    new = values[-1][0]
    assert values == [[OLD, new], [new, OLD], [new]]
    assert len(base64.b64decode(new)) == 32
    for before, after in zip([[OLD], *values], values, strict=False):
        assert before[0] in after, "who has taken the step reads what the others write"
        assert after[0] in before, "and they read what it writes"


def test_from_two_keys_the_plan_is_the_rest() -> None:
    def rest(step: str) -> list[str]:
        done = pydoudou("keys", "plan", "--after", step, GDD_MEM_SECRET_KEY=f"{OLD},{NEW}", **LOOPBACK)
        return [line.split()[1] for line in done.stdout.splitlines()[1:]]

    assert rest("1") == [f"{NEW},{OLD}", NEW]
    assert rest("2") == [OLD]


@pytest.mark.parametrize(
    ("options", "key", "said"),
    [
        ([], "", "is not set"),
        ([], f"{OLD},{NEW}", "--after 1"),
        ([], f"{OLD},{NEW},{OTHER}", "has 3 keys"),
        (["--after", "1"], OLD, "has one key only"),
        (["--after", "3"], OLD, "--after"),
        ([], "x9x", "GDD_MEM_SECRET_KEY is '(hidden)'"),
    ],
)
def test_where_there_is_no_way_the_plan_says_why(options: list[str], key: str, said: str) -> None:
    done = pydoudou("keys", "plan", *options, GDD_MEM_SECRET_KEY=key, **LOOPBACK)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not {key, OLD, NEW} & set(done.stderr.replace(",", " ").split())


def test_a_terminal_shows_keys_that_can_be_copied_whole() -> None:
    with Terminal(
        "keys", "plan", "--after", "1", columns=200, GDD_MEM_SECRET_KEY=f"{OLD},{NEW}", **LOOPBACK
    ) as terminal:
        assert terminal.end() == 0
        assert f"GDD_MEM_SECRET_KEY={NEW},{OLD}" in terminal.lines
        assert f"GDD_MEM_SECRET_KEY={NEW}" in terminal.lines


def test_the_keys_of_the_nodes_are_told_by_what_they_read_and_write() -> None:
    with gossiping("orders", GDD_MEM_SECRET_KEY=OLD, GDD_MEM_NAME="one", GDD_PORT="6061") as one:
        seed = gossip_address(one)
        with gossiping("orders", GDD_MEM_SECRET_KEY=f"{OLD},{NEW}", GDD_MEM_NAME="two", GDD_MEM_SEED=seed) as two:
            given = {"GDD_MEM_SECRET_KEY": f"{OLD},{NEW}", **LOOPBACK}
            done = pydoudou("keys", "check", "--seed", seed, "--timeout", "1", "--json", **given)
            assert done.returncode == 1, done.stderr
            rows = {row["node"]: row for row in map(json.loads, done.stdout.splitlines())}
            known = {node: [key["knows"] for key in row["keys"]] for node, row in rows.items()}
            assert known == {"one": ["reads and writes", "does not read"], "two": ["reads and writes", "reads"]}

            one.reconfigure({"GDD_MEM_SECRET_KEY": f"{OLD},{NEW}"})
            two.reconfigure({"GDD_MEM_SECRET_KEY": f"{NEW},{OLD}"})
            done = pydoudou("keys", "check", "--seed", seed, "--timeout", "1", **given)
            assert done.returncode == 0, done.stdout + done.stderr
            first, second = done.stdout.splitlines()[-2:]
            assert "may come first: every node reads it" in first
            assert "may not be taken away yet: one write with it" in first
            assert "may not be taken away yet: two write with it" in second
            assert not any(key in done.stdout + done.stderr for key in (OLD, NEW))

            with Terminal("keys", "check", "--seed", seed, "--timeout", "1", columns=120, **given) as terminal:
                assert terminal.end() == 0
                assert any("two" in line and "reads and writes" in line for line in terminal.lines)


def test_a_check_that_waits_for_an_answer_ends_at_once_with_ctrl_c() -> None:
    with gossiping("orders", GDD_MEM_SECRET_KEY=OLD) as one:
        refused = one.status().backends[0].driver.counters.get("bad_packet", 0)
        arguments = ("--seed", gossip_address(one), "--timeout", "60")
        with running("keys", "check", *arguments, GDD_MEM_SECRET_KEY=f"{OLD},{NEW}", **LOOPBACK) as check:
            eventually(lambda: one.status().backends[0].driver.counters.get("bad_packet", 0) > refused, 20)
            began = time.monotonic()
            check.send_signal(signal.SIGINT)
            check.wait(10)
            assert time.monotonic() - began < 2
            assert "Traceback" not in str(check.stderr and check.stderr.read())


def test_a_check_without_keys_or_without_anybody_says_so() -> None:
    done = pydoudou("keys", "check", "--seed", "127.0.0.1:1", **LOOPBACK)
    assert (done.returncode, done.stdout) == (2, "")
    assert "is not set" in done.stderr
    done = pydoudou("keys", "check", "--seed", "127.0.0.1:1", GDD_MEM_SECRET_KEY=OLD, **LOOPBACK)
    assert done.returncode == 1
    assert "no seed answered" in done.stderr
