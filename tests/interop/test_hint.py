"""A member that fails is suspected by Go nodes and ours because a call to it failed: once each, with default settings.

The medians of ten, with and without the hint, are printed by `tests/benchmarks/hint.py`.
"""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest
from support.called_cluster import NODES, failed

PROBE_INTERVAL = 5.0
SPREAD = PROBE_INTERVAL / 4
ATTEMPT = 0.5
GOSSIP = 3.0
"""Of a report in a cluster of six: a few rounds of half a second."""


@pytest.mark.timeout(90)
@pytest.mark.parametrize("fault", [signal.SIGKILL, signal.SIGSTOP], ids=lambda fault: fault.name)
def test_a_member_that_fails_is_suspected_by_everybody_because_it_was_called(
    fault: signal.Signals, record_property: Callable[[str, object], None]
) -> None:
    failure = failed(fault, hint=True, after=0.0)
    took = {name: round(seconds, 1) for name, seconds in failure.suspected_after.items()}
    record_property(
        "figures",
        f"{fault.name} of a member that is called: suspected after {took} s, {failure.probes_hinted} extra probes",
    )
    assert len(failure.suspected_after) == NODES - 1
    assert failure.by_everybody < ATTEMPT + SPREAD + PROBE_INTERVAL + GOSSIP
