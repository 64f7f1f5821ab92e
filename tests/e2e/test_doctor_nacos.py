"""What ``pydoudou doctor`` says of a Nacos server that is well, and of one that is not."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

pytest.importorskip("v2.nacos")

from support.doctor import looked, only
from support.http_members import HttpMember
from support.nacos import nacos_variables
from support.nacos_server import pick_ports
from support.scripted_nacos import Answer, Question, ScriptedNacos
from support.tcp_proxy import TcpProxy

from pydoudou.contrib.cli.doctor.situation import Finding

LOGIN = {"GDD_NACOS_USERNAME": "me", "GDD_NACOS_PASSWORD": "secret"}


@pytest.fixture(scope="module")
def nacos() -> Iterator[ScriptedNacos]:
    with ScriptedNacos() as server:
        yield server


def looked_at_nacos(address: str, *, writes: bool = False, **variables: str) -> list[Finding]:
    return looked(writes=writes, **nacos_variables(address, "carts", **variables))


def test_of_a_nacos_server_that_is_well_it_finds_nothing(nacos: ScriptedNacos) -> None:
    assert looked_at_nacos(nacos.address) == []
    assert looked_at_nacos(nacos.address, **LOGIN) == []


def test_a_nacos_server_that_is_not_there_or_has_no_grpc() -> None:
    assert only(looked_at_nacos("127.0.0.1:1")).kind == "nacos-unreachable"
    with HttpMember() as server:
        finding = only(looked_at_nacos(f"127.0.0.1:{server.port}"))
    assert finding.kind == "nacos-grpc"
    assert f"TCP port {server.port + 1000}" in finding.remedy


def test_a_nacos_server_whose_name_nobody_knows() -> None:
    finding = only(looked_at_nacos("no.such.host.invalid:8848"))
    assert finding.kind == "nacos-name"
    assert "no.such.host.invalid" in finding.problem
    assert "GDD_NACOS_SERVER_ADDR" in finding.remedy


def test_a_server_of_which_only_the_grpc_port_can_be_reached_is_no_place_to_log_in(nacos: ScriptedNacos) -> None:
    grpc = int(nacos.address.rpartition(":")[2]) + 1000
    port = pick_ports(1, offsets=(0, 1000))[0]
    with TcpProxy({port + 1000: grpc}):
        assert looked_at_nacos(f"127.0.0.1:{port}") == []
        finding = only(looked_at_nacos(f"127.0.0.1:{port}", **LOGIN))
    assert finding.kind == "nacos-http"
    assert f"TCP port {port}" in finding.remedy


def test_a_server_that_gives_no_session(nacos: ScriptedNacos) -> None:
    with answering(nacos, Question.CONNECT, Answer.ERROR):
        finding = only(looked_at_nacos(nacos.address))
    assert finding.kind == "nacos-unusable"
    assert "Nacos 2 or 3" in finding.remedy


def test_a_login_that_is_refused(nacos: ScriptedNacos) -> None:
    with answering(nacos, Question.LOG_IN, Answer.REFUSAL):
        finding = only(looked_at_nacos(nacos.address, **LOGIN))
    assert finding.kind == "nacos-login"
    assert "'me'" in finding.problem
    assert "GDD_NACOS_PASSWORD" in finding.remedy
    assert "secret" not in str(finding)


def test_rights_that_are_missing(nacos: ScriptedNacos) -> None:
    with answering(nacos, Question.QUERY, Answer.REFUSAL), answering(nacos, Question.SUBSCRIBE, Answer.REFUSAL):
        with answering(nacos, Question.NAMES, Answer.REFUSAL):
            finding = only(looked_at_nacos(nacos.address, **LOGIN))
    assert finding.kind == "nacos-rights"
    assert "'public'" in finding.problem
    assert "role" in finding.remedy


@pytest.mark.parametrize("answer", [Answer.REFUSAL, Answer.ERROR])
def test_rights_to_write_are_tried_only_if_that_is_asked_for_and_nothing_stays(
    answer: Answer, nacos: ScriptedNacos
) -> None:
    before = nacos.times_asked(Question.REGISTER)
    with answering(nacos, Question.REGISTER, answer):
        assert looked_at_nacos(nacos.address, **LOGIN) == []
        assert nacos.times_asked(Question.REGISTER) == before
        finding = only(looked_at_nacos(nacos.address, writes=True, **LOGIN))
    assert finding.kind == "nacos-write"
    assert "lets the user 'me' read, and not register in the namespace 'public'" in finding.problem
    assert "write" in finding.remedy
    assert looked_at_nacos(nacos.address, writes=True, **LOGIN) == []
    tried = {service for question, service in nacos.asked if question is Question.REGISTER}
    assert tried
    assert all(service.startswith("pydoudou-doctor-") for service in tried)
    assert all(nacos.listed(service) == {} for service in tried)


@contextlib.contextmanager
def answering(server: ScriptedNacos, question: Question, answer: Answer) -> Iterator[None]:
    server.instead[question, ""] = answer
    try:
        yield
    finally:
        del server.instead[question, ""]
