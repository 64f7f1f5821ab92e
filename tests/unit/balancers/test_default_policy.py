"""The policy of calls whose client was given none is what the variables say."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pydoudou import CallPolicy, Registry, RoundRobin, Settings, SettingsError
from pydoudou.balancers.calls.given_policy import UNSAID, given_policy
from pydoudou.balancers.default_policy import default_policy
from pydoudou.discovery.configuration.call_defaults import CallDefaults

STATIC = {"GDD_SERVICE_DISCOVERY_MODE": "static", "GDD_STATIC_ORDERS": "http://127.0.0.1:1"}


@pytest.fixture
def registry() -> Iterator[Registry]:
    variables = STATIC | {"GDD_CALL_ATTEMPTS": "2", "GDD_CALL_DEADLINE": "4s", "GDD_CALL_ATTEMPT_TIMEOUT": "500ms"}
    with Registry(Settings.from_env(variables, register=False)) as registry:
        yield registry


def test_the_variables_have_the_defaults_of_the_policy_itself() -> None:
    assert default_policy(None) == CallPolicy()
    assert Settings.from_env(STATIC, register=False).calls == CallDefaults()


def test_a_balancer_tells_what_its_registry_says(registry: Registry) -> None:
    policy = RoundRobin("orders", registry).default_policy()
    assert (policy.attempts, policy.deadline, policy.attempt_timeout) == (2, 4.0, 0.5)
    assert RoundRobin("orders").default_policy() == CallPolicy(), "no registry is the process's default one"


def test_it_changes_while_the_registry_runs(registry: Registry) -> None:
    orders = RoundRobin("orders", registry)
    registry.reconfigure({"GDD_CALL_ATTEMPTS": "5", "GDD_CALL_DEADLINE": ""})
    assert (orders.default_policy().attempts, orders.default_policy().deadline) == (5, None)
    with pytest.raises(SettingsError, match="GDD_CALL_ATTEMPTS is '0'"):
        registry.reconfigure({"GDD_CALL_ATTEMPTS": "0"})
    assert orders.default_policy().attempts == 5


def test_times_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(SettingsError, match="GDD_CALL_ATTEMPT_TIMEOUT"):
        Settings.from_env(STATIC | {"GDD_CALL_DEADLINE": "1s", "GDD_CALL_ATTEMPT_TIMEOUT": "2s"}, register=False)


def test_only_a_client_that_was_given_nothing_follows_the_variables() -> None:
    assert given_policy(None, None, None) is UNSAID
    assert given_policy(CallPolicy(), None, None) is not UNSAID
    assert given_policy(None, 3, None) is not UNSAID
    assert given_policy(None, None, 2.0) is not UNSAID
