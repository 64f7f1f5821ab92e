"""What balancers and policies do when a member is in trouble, in virtual time: nothing is sent, nobody waits.

::

    from pydoudou.balancers.calls.policy import CallPolicy
    from pydoudou.contrib.simulator import simulate

    print(simulate("slow", "LeastLatency", CallPolicy(attempt_timeout=0.5)).p99_ratio)

The balancers, what is remembered of members, and the core of a call are the ones that the clients use. What is
simulated is the rest: members with workers and a queue, callers, and the clock. `pydoudou simulate` prints tables.
"""

from .faults import FAULTS, Fault
from .load import Load
from .results import Row
from .simulation import BALANCERS, CALLERS_POLICY, NO_EJECTION, Simulation, row, simulate

__all__ = [
    "BALANCERS",
    "CALLERS_POLICY",
    "FAULTS",
    "NO_EJECTION",
    "Fault",
    "Load",
    "Row",
    "Simulation",
    "row",
    "simulate",
]
