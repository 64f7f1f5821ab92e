"""The fields of the records that a real node and a real call log."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys

import pytest
from support.caller_requests import RequestsCaller
from support.gossip import FAST_GOSSIP, gossip_address, gossiping
from support.http_members import HttpMember, InOrder, refusing
from support.manual import blocks
from support.waiting import eventually

from pydoudou.balancers.calls import call as calls


def test_a_member_that_comes_and_goes_is_told_with_its_service_its_address_and_its_node(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "pydoudou.discovery.membership_log")
    with gossiping() as registry:
        with gossiping("orders", GDD_PORT="8081", GDD_MEM_SEED=gossip_address(registry), GDD_MEM_NAME="first"):
            eventually(lambda: registry.members("orders"))
        eventually(lambda: not registry.members("orders"))
    told = [vars(record) for record in caplog.records if vars(record).get("pydoudou_node") == "first"]
    assert {record["pydoudou_event"] for record in told} == {"joined", "left"}
    for record in told:
        assert (record["pydoudou_service"], record["pydoudou_member"]) == ("orders", "127.0.0.1:8081")
        assert record["pydoudou_source"] == "memberlist"


def test_a_call_that_moves_tells_from_whom_and_why(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "pydoudou.contrib.requests")
    with HttpMember() as good, refusing() as gone, RequestsCaller(InOrder(gone, good.member())) as caller:
        caller.call()
    (record,) = (vars(record) for record in caplog.records)
    assert (record["pydoudou_service"], record["pydoudou_member"]) == ("orders", gone.address)
    assert "refused" in record["pydoudou_reason"]


def test_a_call_that_moves_makes_no_fields_for_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    def asked(**_: object) -> dict[str, str]:
        raise AssertionError("the level is off")

    monkeypatch.setattr(calls, "fields", asked)
    with HttpMember() as good, refusing() as gone, RequestsCaller(InOrder(gone, good.member())) as caller:
        assert caller.call().status == 200


def test_the_formatter_of_the_manual_writes_them_as_json() -> None:
    _, program = blocks("logging.md", "python")
    environment = os.environ | FAST_GOSSIP | {"GDD_SERVICE_NAME": "orders", "GDD_MEM_NAME": "first"}
    program += "import pydoudou\nwith pydoudou.new_node(): pass"
    run = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=50)
    lines = [json.loads(line) for line in run.stderr.splitlines()]
    assert {"pydoudou_node": "first", "pydoudou_backend": "memberlist"}.items() <= next(
        line for line in lines if "listens on port" in line["message"]
    ).items()
