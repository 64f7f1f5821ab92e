"""What ``pydoudou doctor`` says of a Nacos server that is well, and of one that is not."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

pytest.importorskip("v2.nacos")

from support.doctor import looked, only
from support.http_members import HttpMember
from support.nacos import nacos_variables
from support.scripted_nacos import Answer, Question, ScriptedNacos

from pydoudou.contrib.cli.doctor.situation import Finding

LOGIN = {"GDD_NACOS_USERNAME": "me", "GDD_NACOS_PASSWORD": "secret"}


@pytest.fixture(scope="module")
def nacos() -> Iterator[ScriptedNacos]:
    with ScriptedNacos() as server:
        yield server


def looked_at_nacos(address: str, **variables: str) -> list[Finding]:
    return looked(**nacos_variables(address, "carts", **variables))


def test_of_a_nacos_server_that_is_well_it_finds_nothing(nacos: ScriptedNacos) -> None:
    assert looked_at_nacos(nacos.address) == []
    assert looked_at_nacos(nacos.address, **LOGIN) == []


def test_a_nacos_server_that_is_not_there_or_has_no_grpc() -> None:
    assert only(looked_at_nacos("127.0.0.1:1")).kind == "nacos-unreachable"
    with HttpMember() as server:
        finding = only(looked_at_nacos(f"127.0.0.1:{server.port}"))
    assert finding.kind == "nacos-grpc"
    assert f"TCP port {server.port + 1000}" in finding.remedy


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


@contextlib.contextmanager
def answering(server: ScriptedNacos, question: Question, answer: Answer) -> Iterator[None]:
    server.instead[question, ""] = answer
    try:
        yield
    finally:
        del server.instead[question, ""]
