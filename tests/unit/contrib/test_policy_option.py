"""A policy as text on the command line."""

from __future__ import annotations

import pytest

from pydoudou import CallPolicy, CircuitBreaker, HealthPolicy, Hedging
from pydoudou.contrib.cli.policy_option import policy_from

BASE = CallPolicy(attempt_timeout=2.0)


@pytest.mark.parametrize(
    ("texts", "policy"),
    [
        pytest.param([], BASE, id="nothing"),
        pytest.param(["attempts=2"], BASE.change(attempts=2), id="a whole number"),
        pytest.param(["attempt_timeout=0.5,deadline=5"], BASE.change(attempt_timeout=0.5, deadline=5.0), id="two"),
        pytest.param(
            ["deadline=1,attempt_timeout=0.5"],
            BASE.change(attempt_timeout=0.5, deadline=1.0),
            id="two that are possible only together",
        ),
        pytest.param(["deadline=5", " attempts = 2 , "], BASE.change(attempts=2, deadline=5.0), id="in two options"),
        pytest.param(["attempt_timeout=none"], CallPolicy(), id="none"),
        pytest.param(["retry_after_zero=on"], BASE.change(retry_after_zero=True), id="on"),
        pytest.param(["retry_on=503"], BASE.change(retry_on={503}), id="a set of one"),
        pytest.param(["retry_on=502+503"], BASE.change(retry_on={502, 503}), id="a set of two"),
        pytest.param(["retry_on=none"], BASE.change(retry_on=()), id="an empty set"),
        pytest.param(["dry_run=budget+hedge"], BASE.change(dry_run={"budget", "hedge"}), id="names"),
        pytest.param(["breaker=on"], BASE.change(breaker=CircuitBreaker()), id="a part"),
        pytest.param(["breaker=none"], BASE, id="no part"),
        pytest.param(["breaker.open_for=1"], BASE.change(breaker=CircuitBreaker(open_for=1.0)), id="a value of a part"),
        pytest.param(
            ["hedge=on,hedge.quantile=0.9"], BASE.change(hedge=Hedging(quantile=0.9)), id="a part and its value"
        ),
        pytest.param(
            ["health.consecutive=none,health.slow_start=10"],
            BASE.change(health=HealthPolicy(consecutive=None, slow_start=10.0)),
            id="two values of a part",
        ),
    ],
)
def test_a_text_says_what_changes(texts: list[str], policy: CallPolicy) -> None:
    assert policy_from(texts, BASE) == policy


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("attempts", "policy is 'attempts'; accepted: NAME=VALUE", id="no value"),
        pytest.param("patience=1", "policy has no 'patience'; accepted: attempts, deadline, ", id="an unknown name"),
        pytest.param("attempts=", "attempts is ''; accepted: a whole number from 1", id="an empty value"),
        pytest.param("attempts=2.5", "attempts is 2.5; accepted: a whole number from 1", id="half an attempt"),
        pytest.param("deadline=soon", "deadline is 'soon'; accepted: ", id="a word"),
        pytest.param("deadline=nan", "deadline is nan; accepted: ", id="no number"),
        pytest.param("deadline=1", "deadline is 1; accepted: at least the attempt_timeout", id="a contradiction"),
        pytest.param("retry_on=502+many", "retry_on is .*; accepted: a set of statuses", id="a status that is none"),
        pytest.param("dry_run=everything", "dry_run is .*; accepted: a set of ", id="a rule that is none"),
        pytest.param("breaker=3", "breaker is 3; accepted: ", id="a number for a part"),
        pytest.param("attempts.most=2", "policy has no 'attempts.most'; accepted: attempts", id="a part of a number"),
        pytest.param(
            "health.luck=2", "policy has no 'health.luck'; accepted: health.consecutive, ", id="no such value"
        ),
        pytest.param("health.consecutive=0", "consecutive is 0; accepted: ", id="a bad value of a part"),
    ],
)
def test_a_text_that_says_nothing_of_the_kind_is_one_error_that_names_it(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        policy_from([text], BASE)
