"""Feeds the gossip protocol with input that coverage guides: what reaches new code is kept and changed further.

    python tests/protocol/fuzz_guided.py --inputs 100000 --seconds 60 --seed 1

Complements `fuzz.py`, whose inputs are random. The first byte of an input says which node gets it, as a datagram or on
a stream; where the node expects a label and encryption, the rest is put into them, so that what lies behind is reached.
The run begins with the captured and the hostile packets. An exception ends it, and the input is printed.

atheris, which does the guiding, has packages for Linux on x86-64, and not for the newest Pythons; where it is not
installed this says so and ends.
"""

from __future__ import annotations

import argparse
import importlib.util
import random
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1]))

_FRESH_AFTER = 500
_LONGEST_INPUT = 4096
_STREAM, _ANYWHERE = 0x80, 0x7F


class Target:
    """What an input is given to: one node of each setup, started anew now and then."""

    def __init__(self, fuzz: Any, seed: int) -> None:
        self._fuzz = fuzz
        self._seed = seed
        self._random = random.Random(seed)
        self._inputs = 0

    def __call__(self, data: bytes) -> None:
        """Feed one input.

        Raises:
            Exception: the protocol let one escape; the input is printed.
        """
        try:
            self._feed(data)
        except Exception:
            print(f"FAILED (seed {self._seed}): {data.hex()}", flush=True)
            raise

    def _feed(self, data: bytes) -> None:
        fuzz = self._fuzz
        if self._inputs % _FRESH_AFTER == 0:
            self._nodes = [setup.start(self._seed) for setup in fuzz.SETUPS]
        self._inputs += 1
        if not data:
            return
        choice, data = data[0], data[1:]
        setup, swim = fuzz.SETUPS[choice % len(fuzz.SETUPS)], self._nodes[choice % len(fuzz.SETUPS)]
        now = self._inputs % _FRESH_AFTER * 0.01
        if choice & _STREAM:
            sent = fuzz.stream_layers(data, setup, self._random)
            middle = len(sent) * (choice & _ANYWHERE) // (_ANYWHERE + 1)
            fuzz.feed_stream(swim, sent, (0, middle, len(sent)), now)
        else:
            fuzz.feed_packet(swim, fuzz.packet_layers(data, setup, self._random), now)
        if self._inputs % 50 == 0:
            swim.advance(now)
            for exchange in swim.take().streams:
                exchange.abort("not dialled", now)


def run(arguments: argparse.Namespace) -> None:
    """Fuzz in this process, which ends with the run."""
    import atheris

    with atheris.instrument_imports(include=["pydoudou.drivers.memberlist.protocol"]):
        import fuzz

    packets, streams = fuzz.corpus()
    for kind, inputs in ((0, packets), (_STREAM | _ANYWHERE >> 1, streams)):
        for number, data in enumerate(inputs):
            Path(arguments.folder, f"{kind}-{number}").write_bytes(bytes((kind,)) + data)
    options = [
        f"-runs={arguments.inputs}",
        f"-max_total_time={arguments.seconds}",
        f"-seed={arguments.seed}",
        f"-max_len={_LONGEST_INPUT}",
        f"-artifact_prefix={arguments.folder}/",
        "-timeout=10",
        "-rss_limit_mb=400",
    ]
    atheris.Setup([sys.argv[0], *options, arguments.folder], Target(fuzz, arguments.seed))
    atheris.Fuzz()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--seconds", type=int, default=600, help="stop after so long")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1, 2**31))
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if importlib.util.find_spec("atheris") is None:
        print("guided by coverage: left out, atheris is not installed (it has packages for Linux on x86-64 only)")
        return 0
    if arguments.folder:
        run(arguments)
    print(f"guided by coverage: seed {arguments.seed}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        options = [f"--{name}={value}" for name, value in vars(arguments).items() if name != "folder"]
        command = [sys.executable, __file__, *options, f"--folder={folder}"]
        child = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    lines = child.stdout.splitlines()
    if child.returncode:
        print(*lines[-60:], sep="\n")
        return 1
    print(next(line for line in reversed(lines) if "cov: " in line))
    print(next(line for line in reversed(lines) if line.startswith("Done ")))
    return 0


if __name__ == "__main__":
    sys.exit(main())
