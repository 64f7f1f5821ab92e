"""The circuit breaker of a service: while most calls fail, none is made.

1. It counts *calls*, not attempts: one that another member answered is a success. An answer below 500 is a success, a
   4xx as well; a call that the caller gave up says nothing.
2. It opens when, of at least `least_calls` calls of the last `window` seconds, `failure_ratio` or more failed.
3. Open, it lets nobody through for `open_for` seconds. Then one call at a time is let through; its success closes the
   breaker, its failure opens it again. One that is cancelled or dropped leaves its turn to the next.

The numbers are go-doudou's. Unlike its breaker, which counts every answer that is not 2xx, a client's mistake opens
nothing here.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping
from contextvars import Context
from importlib.util import find_spec
from typing import Any, Protocol, runtime_checkable

import attrs

from ..checks import a_function, a_number, a_whole_number, seconds

__all__ = ["Breaker", "CircuitBreaker", "InterlockBreaker", "Passage", "TellingBreaker"]


class Breaker(Protocol):
    """What a circuit breaker has to do; whoever has another one gives a function that makes it.

    Threads may call both at once. A permit that is dropped must not count as a call that goes on for ever.
    """

    def begin(self, now: float) -> object | None:
        """Let a call through and give its permit; None: the service is not to be called now."""

    def ended(self, permit: object, success: bool | None, now: float) -> None:
        """How the call with this permit ended, told once; None says nothing about the service."""


@runtime_checkable
class TellingBreaker(Protocol):
    """The ability of a breaker to tell its state, for whoever shows it.

    Attributes:
        state: ``closed``, ``open`` or ``half_open``. One that is open becomes half open with the call that tries it.
        changes: how often it came into each of these states.
    """

    state: str
    changes: Mapping[str, int]


class _Clock:
    """The clock that interlock-cb reads: the time that the breaker was told last."""

    def __init__(self) -> None:
        self._now = 0.0

    def tell(self, now: float) -> None:
        """It is this late; what a thread says that was held up does not turn it back."""
        if now > self._now:
            self._now = now

    def monotonic(self) -> float:
        return self._now


class _Permit:
    """A call that was let through. If it is dropped, its turn is given back with the next call."""

    __slots__ = ("_dropped", "block")

    def __init__(self, block: Context, dropped: deque[Context]) -> None:
        self.block: Context | None = block
        self._dropped = dropped

    def __del__(self) -> None:
        # Anywhere in any thread, inside the lock of interlock-cb too: nothing but an append.
        if self.block is not None:
            self._dropped.append(self.block)


class InterlockBreaker:
    """The circuit breaker of interlock-cb.

    Its guarded block is entered when a call begins and left when it ends, which may be in another task or thread. The
    block is remembered in a context variable, so each call has a context of its own.

    Attributes:
        state, changes: see `TellingBreaker`.
    """

    def __init__(self, settings: CircuitBreaker) -> None:
        import interlock

        self.state = str(interlock.State.CLOSED)
        self.changes: Counter[str] = Counter()
        self._refused, self._clock = interlock.CircuitOpenError, _Clock()
        config = interlock.Config(
            failure_rate_threshold=settings.failure_ratio,
            minimum_number_of_calls=settings.least_calls,
            window_type=interlock.WindowType.TIME_BASED,
            window_size=settings.window,
            wait_duration_in_open=settings.open_for,
            permitted_calls_in_half_open=1,
        )
        listener: Any = self
        self._breaker = interlock.CircuitBreaker(name="pydoudou", config=config, clock=self._clock, listener=listener)
        self._dropped: deque[Context] = deque()

    def begin(self, now: float) -> _Permit | None:
        """Let a call through, or None."""
        self._clock.tell(now)
        while self._dropped:
            self._leave(self._dropped.popleft(), None)
        block = Context()
        try:
            block.run(self._breaker.__enter__)
        except self._refused:
            return None
        return _Permit(block, self._dropped)

    def ended(self, permit: object, success: bool | None, now: float) -> None:
        """How the call ended."""
        if isinstance(permit, _Permit) and permit.block is not None:
            block, permit.block = permit.block, None
            self._clock.tell(now)
            self._leave(block, success)

    def on_state_change(self, *, name: str, old: str, new: str) -> None:
        """interlock-cb says that the breaker has changed."""
        self.state = str(new)
        self.changes[self.state] += 1

    def _leave(self, block: Context, success: bool | None) -> None:
        error = None if success else GeneratorExit() if success is None else _CallFailed()
        block.run(self._breaker.__exit__, None, error, None)


@attrs.frozen
class Passage:
    """A call that a circuit breaker let through."""

    breaker: Breaker
    permit: object

    def ended(self, success: bool | None, now: float) -> None:
        """How the call ended, as `Breaker.ended`."""
        self.breaker.ended(self.permit, success, now)


class _CallFailed(Exception):
    """What interlock-cb is told of a call that failed."""


def _or_interlock(value: Any) -> Any:
    if value is None and find_spec("interlock") is None:
        raise ModuleNotFoundError("a circuit breaker needs interlock-cb: pip install 'pydoudou[breaker]'")
    return InterlockBreaker if value is None else value


@attrs.frozen(kw_only=True)
class CircuitBreaker:
    """The settings of a circuit breaker. Equal settings of one service mean one breaker for the process.

    Attributes:
        failure_ratio: the share of failed calls that opens it.
        least_calls: the fewest calls in the window that can open it.
        window: seconds that are looked back, a whole number.
        open_for: seconds that it lets nobody through.
        make: makes another breaker than that of interlock-cb, from these settings.

    Raises:
        ModuleNotFoundError: interlock-cb is not installed, and no other breaker is given.
    """

    failure_ratio: float = attrs.field(default=0.5, validator=a_number(0, 1, above=True))
    least_calls: int = attrs.field(default=6, validator=a_whole_number(1))
    window: int = attrs.field(default=10, validator=a_whole_number(1))
    open_for: float = attrs.field(default=5.0, validator=seconds(optional=False))
    make: Callable[[CircuitBreaker], Breaker] = attrs.field(default=None, converter=_or_interlock, validator=a_function)
