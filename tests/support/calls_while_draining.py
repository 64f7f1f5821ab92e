"""Callers of ``orders`` while one of its members is replaced: one that retries, and one that picks and does not."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

import httpx
from support.waiting import eventually

from pydoudou import LeastLatency, Registry, RoundRobin
from pydoudou.contrib.httpx import DiscoveryTransport

__all__ = ["CalledEverySoOften", "called_again", "calls_of_both_kinds", "get"]

EVERY = 0.005


def get(host: str, port: int, path: str = "/") -> int:
    """The status of one answer, on a connection of its own."""
    with contextlib.closing(http.client.HTTPConnection(host, port, timeout=5)) as connection:
        connection.request("GET", path)
        response = connection.getresponse()
        response.read()
        return response.status


class CalledEverySoOften:
    """Calls 200 times a second while the block runs, as far as the machine can.

    Attributes:
        answered: how often there was an answer with status 200.
        failed: what there was instead, by text.
    """

    def __init__(self, call: Callable[[], int]) -> None:
        self.answered = 0
        self.failed: Counter[str] = Counter()
        self._call = call
        self._began = self._ended = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    @property
    def called(self) -> int:
        """How often it has called so far, whatever became of it."""
        return self.answered + self.failed.total()

    @property
    def per_second(self) -> float:
        """Calls in a second, when the block has ended."""
        return self.called / (self._ended - self._began)

    def _run(self) -> None:
        due = self._began = time.monotonic()
        while not self._stop.wait(max(0.0, due - time.monotonic())):
            due = max(due + EVERY, time.monotonic())
            try:
                status = self._call()
            except Exception as error:
                self.failed[f"{type(error).__name__}: {error}"] += 1
            else:
                if status == 200:
                    self.answered += 1
                else:
                    self.failed[f"status {status}"] += 1

    def assert_only_cut_off(self, killed: int) -> None:
        """Nothing failed but, at most once for each process that was killed, an answer that ended before its end: who
        is killed between the head of an answer and its body takes that answer along, and nobody may ask again for it.
        """
        cut_off = {text for text in self.failed if "complete message body" in text or text.startswith("ReadError")}
        assert set(self.failed) == cut_off
        assert self.failed.total() <= killed

    def __enter__(self) -> CalledEverySoOften:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._ended = time.monotonic()


def called_again(calls: Iterable[CalledEverySoOften], times: int = 20) -> None:
    """Wait until each of them has called so often again: by then on connections that are kept, and every member."""
    due = [(each, each.called + times) for each in calls]
    eventually(lambda: all(each.called >= count for each, count in due), timeout=20)


@contextlib.contextmanager
def calls_of_both_kinds(registry: Registry) -> Iterator[tuple[CalledEverySoOften, CalledEverySoOften]]:
    """GET and POST by turns through httpx with the default policy, and GET by a pick and one attempt; no call fails."""
    transport = DiscoveryTransport(balancer=lambda name: LeastLatency(name, registry))
    picks = RoundRobin("orders", registry)

    def pick_and_call() -> int:
        member = picks.pick()
        return get(member.host, member.port)

    with httpx.Client(transport=transport, timeout=5.0) as client:
        methods = itertools.cycle(["GET", "POST"])
        retrying = CalledEverySoOften(lambda: client.request(next(methods), "http://orders/").status_code)
        with retrying, CalledEverySoOften(pick_and_call) as picking:
            yield retrying, picking
    assert (retrying.failed, picking.failed) == (Counter(), Counter())
    assert min(retrying.answered, picking.answered) > 20
