"""When a driver tries again, and what its start does about a failure."""

from __future__ import annotations

import anyio
import pytest

from pydoudou import JoinError
from pydoudou.drivers.kit.backoff import Backoff
from pydoudou.drivers.kit.first_attempt import first_attempt
from pydoudou.drivers.members import JoinPolicy


def test_every_delay_is_longer_until_none_is() -> None:
    backoff = Backoff(0.5, 5.0, draw=lambda: 1.0)
    assert [backoff.delay(failures) for failures in range(1, 7)] == [0.5, 1.0, 2.0, 4.0, 5.0, 5.0]
    assert backoff.delay(10**9) == 5.0
    assert backoff.delay(0) == 0.5


def test_a_delay_is_drawn_between_half_and_all_of_it() -> None:
    assert Backoff(1.0, 60.0, draw=lambda: 0.0).delay(3) == 2.0
    assert Backoff(1.0, 60.0, draw=lambda: 0.5).delay(3) == 3.0
    assert Backoff(1.0, 60.0, factor=3.0, draw=lambda: 1.0).delay(3) == 9.0


@pytest.mark.parametrize("policy", list(JoinPolicy))
def test_a_first_attempt_that_works_is_all_there_is(policy: JoinPolicy) -> None:
    assert attempt(None, policy) is None


def test_a_failure_that_may_pass_is_handed_back_or_ends_the_start() -> None:
    error = OSError("nobody there")
    assert attempt(error, JoinPolicy.RETRY) is error
    with pytest.raises(JoinError, match=r"nobody there \(GDD_JOIN=required makes that an error") as caught:
        attempt(error, JoinPolicy.REQUIRED)
    assert caught.value.__cause__ is error


@pytest.mark.parametrize("policy", list(JoinPolicy))
def test_a_failure_that_does_not_pass_ends_the_start_as_it_is(policy: JoinPolicy) -> None:
    with pytest.raises(ValueError, match="never"):
        attempt(ValueError("never"), policy)


def attempt(error: Exception | None, policy: JoinPolicy) -> Exception | None:
    async def once() -> None:
        if error is not None:
            raise error

    async def main() -> Exception | None:
        return await first_attempt(once, policy=policy, variable="GDD_JOIN", passing=OSError)

    return anyio.run(main)
