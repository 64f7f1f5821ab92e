"""How soon a member that fails is suspected by everybody, because a call to it failed, and without that.

    python tests/benchmarks/hint.py [--runs 10] [--at-once 5] [--faults killed,stopped] [--json]

Six nodes on loopback, three of Go's and three of ours, with the default settings (`tests/support/called_cluster.py`). A
member is ended by SIGKILL, or stopped by SIGSTOP, at a moment of the round of probes that is drawn from a fixed seed,
the same with and without the hint. Needs `make peers`.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import statistics
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from support.called_cluster import Failure, failed

FAULTS = {"killed": signal.SIGKILL, "stopped": signal.SIGSTOP}
PROBE_INTERVAL = 5.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--at-once", type=int, default=5, help="clusters at the same time; they are idle mostly")
    parser.add_argument("--faults", default=",".join(FAULTS))
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    chance = random.Random(10)
    moments = [chance.uniform(0.0, PROBE_INTERVAL) for _ in range(options.runs)]
    if not options.json:
        print("| member is | hint | suspected by everybody after, median | least to most | by the first of them |")
        print("|---|---|---|---|---|")
    for fault in options.faults.split(","):
        for hint in (False, True):
            with ThreadPoolExecutor(options.at_once) as together:
                runs = [together.submit(failed, FAULTS[fault], hint=hint, after=moment) for moment in moments]
            _show(fault, hint, [run.result() for run in runs], options.json)


def _show(fault: str, hint: bool, failures: list[Failure], as_json: bool) -> None:
    took = sorted(failure.by_everybody for failure in failures)
    first = statistics.median(min(failure.suspected_after.values()) for failure in failures)
    median = statistics.median(took)
    if as_json:
        print(
            json.dumps({"fault": fault, "hint": hint, "median_s": median, "first_s": first, "all_s": took}), flush=True
        )
        return
    print(
        f"| {fault} | {'yes' if hint else 'no'} | {median:.1f} s | {took[0]:.1f} to {took[-1]:.1f} s | {first:.1f} s |",
        flush=True,
    )


if __name__ == "__main__":
    main()
