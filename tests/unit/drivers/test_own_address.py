"""Which of this machine's addresses others are told: go-doudou's choice."""

from __future__ import annotations

import ipaddress
import logging

import pytest

from pydoudou.drivers.kit import interfaces, own_address
from pydoudou.drivers.kit.log_limit import RateLimitedLog
from pydoudou.drivers.kit.own_address import InterfaceAddress, chosen_address, interface_addresses, private_address


def at(text: str, *, default: bool = False) -> InterfaceAddress:
    address, _, prefix = text.partition("/")
    return InterfaceAddress(ipaddress.ip_address(address), int(prefix or 24), default)


@pytest.mark.parametrize(
    ("found", "chosen"),
    [
        ([at("127.0.0.1/8"), at("172.28.0.11/16")], "172.28.0.11"),
        ([at("51.15.7.7", default=True), at("10.64.0.7/16")], "10.64.0.7"),
        ([at("10.64.0.7/16"), at("192.168.1.7", default=True)], "192.168.1.7"),
        ([at("fd00::7/64"), at("10.64.0.7/16")], "10.64.0.7"),
        ([at("fd00::7/64", default=True), at("10.64.0.7/16")], "fd00::7"),
        ([at("10.0.0.7/8"), at("10.64.0.7/16")], "10.64.0.7"),
        ([at("fe80::7/64"), at("169.254.0.7/16"), at("fd00::7/64")], "fd00::7"),
        ([at("51.15.7.7", default=True), at("100.64.0.7/10")], "100.64.0.7"),
        ([at("51.15.7.7"), at("2a00::7/64", default=True)], "2a00::7"),
    ],
)
def test_a_private_address_comes_first_and_then_the_default_route_ipv4_and_the_smallest_network(
    found: list[InterfaceAddress], chosen: str
) -> None:
    assert str(chosen_address(found)) == chosen


@pytest.mark.parametrize("found", [[], [at("127.0.0.1/8"), at("::1/128"), at("fe80::1/64")]])
def test_nobody_else_reaches_a_machine_that_has_only_loopback(found: list[InterfaceAddress]) -> None:
    assert chosen_address(found) is None


@pytest.mark.parametrize(
    ("found", "chosen", "warned"),
    [
        ([at("51.15.7.7")], "51.15.7.7", "the public address 51.15.7.7"),
        ([], "127.0.0.1", "only local processes"),
        ([at("10.0.0.7")], "10.0.0.7", ""),
    ],
)
def test_a_public_and_a_loopback_address_are_told_once(
    found: list[InterfaceAddress],
    chosen: str,
    warned: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(own_address, "interface_addresses", lambda: found)
    monkeypatch.setattr(own_address, "limited", RateLimitedLog(logging.getLogger("own"), lambda: 0.0))
    assert [private_address(), private_address()] == [chosen, chosen]
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == bool(warned)
    assert all(warned in line and "GDD_REGISTER_HOST" in line for line in lines)


def test_this_machine_has_loopback_at_least() -> None:
    assert any(found.address.is_loopback and found.prefix in (8, 128) for found in interface_addresses())


def test_a_system_that_does_not_tell_its_addresses_has_those_that_lead_somewhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse() -> None:
        raise OSError("no getifaddrs")

    told = interface_addresses()
    monkeypatch.setattr(interfaces, "addresses", refuse)
    guessed = {found.address for found in interface_addresses()}
    assert guessed <= {found.address for found in told}
