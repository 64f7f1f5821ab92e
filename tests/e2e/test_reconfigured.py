"""What a program changes of a registry that runs, besides the gossip's own numbers."""

from __future__ import annotations

import logging

import pytest
from support.gossip import gossip_address, gossiping
from support.waiting import eventually

from pydoudou import SettingsError


def test_others_see_another_weight() -> None:
    with gossiping("orders", GDD_MEM_NAME="one") as one, gossiping(GDD_MEM_SEED=gossip_address(one)) as other:
        eventually(lambda: [member.weight for member in other.members("orders")] == [1])
        one.reconfigure({"GDD_WEIGHT": "7"})
        eventually(lambda: [member.weight for member in other.members("orders")] == [7])
        assert one.settings.weight == 7
        with pytest.raises(SettingsError, match="another weight of the same kind"):
            one.reconfigure({"GDD_WEIGHT": "0", "GDD_MEM_GOSSIP_NODES": "9"})
        assert one.settings.drivers["memberlist"].config.gossip_nodes == 4, "all of it or nothing"
        one.update({"zone": "a"})
        eventually(lambda: [(member.weight, member.data) for member in other.members("orders")] == [(7, {"zone": "a"})])


def test_credentials_change_and_are_never_shown() -> None:
    with gossiping("orders", GDD_MANAGE_USER="ada", GDD_MANAGE_PASS="x9x") as registry:
        registry.reconfigure({"GDD_MANAGE_PASS": "y8y"})
        assert (registry.settings.manage_user, registry.settings.manage_pass) == ("ada", "y8y")
        assert "y8y" not in repr(registry.settings) + repr(registry.status())
        with pytest.raises(SettingsError, match="because GDD_MANAGE_USER is set"):
            registry.reconfigure({"GDD_MANAGE_PASS": ""})
        registry.reconfigure({"GDD_MANAGE_USER": "", "GDD_MANAGE_PASS": ""})
        assert registry.settings.manage_user == ""


def test_the_level_of_the_log_is_set_and_given_back() -> None:
    log = logging.getLogger("pydoudou")
    before = log.level
    with gossiping("orders", GDD_LOG_LEVEL="error") as registry:
        assert log.level == logging.ERROR
        registry.reconfigure({"GDD_LOG_LEVEL": "debug"})
        assert log.level == logging.DEBUG
        registry.reconfigure({"GDD_LOG_LEVEL": ""})
        assert log.level == before
    with pytest.raises(SettingsError, match="GDD_LOG_LEVEL is 'loud'"):
        gossiping("orders", GDD_LOG_LEVEL="loud")
