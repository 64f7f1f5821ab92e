"""How long a registry waits, and for what."""

from __future__ import annotations

import attrs

__all__ = ["Timings"]


@attrs.frozen(repr=False)
class Timings:
    """Seconds, all of them. The defaults are meant for everybody; a test passes others.

    Attributes:
        first_answer_timeout: what the first pick of a service waits for its backends, in all.
        forget_after: a service that nobody asked for so long, and nobody holds a subscription of, is unsubscribed.
        subscribe_timeout: what a driver has for `subscribe` and `unsubscribe`.
        call_timeout: what the drivers have for `update` and `reconfigure`.
        status_timeout: what the event loop of the drivers has to tell how they are; then the last known status counts.
        drain_note_timeout: what a driver has to say in the metadata that this process drains, before it leaves.
        leave_timeout: what all drivers together have to leave.
        end_timeout: what is left for their cleaning up after that; then the thread is left behind.
        restart_after: the wait before a driver that ended is started again, doubled with every further short run; it
            is drawn from between half and all of that.
        restart_after_most: the longest such wait.
        short_run: a run that lasted so long ends the doubling.
        observe_interval: how often drivers are asked whether they are ready, while somebody observes.
    """

    first_answer_timeout: float = 0.5
    forget_after: float = 3600.0
    subscribe_timeout: float = 10.0
    call_timeout: float = 30.0
    status_timeout: float = 1.0
    drain_note_timeout: float = 0.5
    leave_timeout: float = 3.0
    end_timeout: float = 1.5
    restart_after: float = 1.0
    restart_after_most: float = 60.0
    short_run: float = 60.0
    observe_interval: float = 1.0
