"""Targets of Prometheus, made of what members say of themselves."""

from __future__ import annotations

import json

from pydoudou import Member
from pydoudou.contrib.prometheus_sd import target_groups
from pydoudou.drivers.members import MemberState


def test_a_member_is_a_target_with_the_labels_of_go_doudou_prometheus_sd() -> None:
    assert target_groups([Member("orders", "10.0.0.1", 6060, node="web-1", root_path="/v1")]) == [
        {
            "targets": ["10.0.0.1:6060"],
            "labels": {"service_id": "orders", "hostname": "web-1", "base_url": "http://10.0.0.1:6060/v1"},
        }
    ]


def test_what_a_process_says_of_how_it_was_built_has_labels_of_its_own() -> None:
    process = {"goVer": "go1.21", "gddVer": "v1.3.7", "buildUser": "ci", "buildTime": "today", "memPort": 7946}
    (group,) = target_groups([Member("orders", "10.0.0.1", 6060, process=process)])
    assert group["labels"].items() >= {
        ("go_ver", "go1.21"),
        ("godoudou_ver", "v1.3.7"),
        ("build_user", "ci"),
        ("build_time", "today"),
    }
    assert len(group["labels"]) == 7


def test_metadata_become_no_labels() -> None:
    data = {"__address__": "evil:80", "__metrics_path__": "/secrets", "job": "ours", "zone": "a"}
    (group,) = target_groups([Member("orders", "10.0.0.1", 6060, data=data, node="__param_target")])
    assert group["targets"] == ["10.0.0.1:6060"]
    assert group["labels"].keys() == {"service_id", "hostname", "base_url"}


def test_groups_are_in_one_order_whatever_that_of_the_members_is() -> None:
    members = [Member(service, host, 80) for service in ("users", "orders") for host in ("10.0.0.2", "10.0.0.1")]
    assert target_groups(members) == target_groups(reversed(members))
    assert [group["labels"]["service_id"] for group in target_groups(members)] == ["orders"] * 2 + ["users"] * 2


def test_ipv6_is_in_brackets() -> None:
    assert target_groups([Member("orders", "fd00::1", 80)])[0]["targets"] == ["[fd00::1]:80"]


def test_suspects_are_targets_and_grpc_is_none() -> None:
    suspect = Member("orders", "10.0.0.1", 80, state=MemberState.SUSPECT)
    groups = target_groups([suspect, Member("orders", "10.0.0.1", 50051, scheme="grpc")])
    assert [group["targets"] for group in groups] == [["10.0.0.1:80"]]


def test_what_is_not_unicode_is_still_json() -> None:
    groups = target_groups([Member("orders", "10.0.0.1", 80, node="web-\udcff</script>")])
    assert json.loads(json.dumps(groups).encode()) == groups
