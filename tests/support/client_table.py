"""Writes docs/clients.md: what every client can do, as the tests of the clients show it.

    python tests/support/client_table.py docs/clients.md             runs these tests first, and writes if all pass
    python tests/support/client_table.py --collected docs/clients.md  writes what the tests there are would show

A test that shows an ability is marked with it, ``@pytest.mark.ability("deadline")``, and shows it for the client in its
parameter ``caller_class``, whose docstring is the client's name below; a test of one client names it:
``@pytest.mark.ability("deadline", client="grpc")``. What a client cannot do stands in `REASONS`. Every client has one
of the two for every ability.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pytest

__all__ = ["ABILITIES", "CLIENTS", "REASONS", "Shown", "page"]

ROOT = Path(__file__).parents[2]
E2E = ROOT / "tests" / "e2e"

CLIENTS = {
    "requests": "requests",
    "httpx": "httpx",
    "httpx-async": "httpx, async",
    "httpx2": "httpx2",
    "httpx2-async": "httpx2, async",
    "aiohttp": "aiohttp",
    "urllib3": "urllib3",
    "grpc": "grpc",
    "grpc-aio": "grpc.aio",
}
"""The columns: the names of the clients in tests, and on the page."""

ABILITIES = {
    "moves": "moves to another member",
    "deadline": "deadline over all attempts",
    "budget": "retry budget",
    "breaker": "circuit breaker",
    "ejection fed": "outcomes fed to ejection",
    "streaming down": "answers streamed as they arrive",
    "streaming up": "bodies streamed as they are made",
    "redirects": "redirects",
    "cookies": "cookies",
    "tls": "TLS with SNI",
    "http2": "HTTP/2",
    "cancellation": "cancelling a call cancels its attempt",
    "trail": "trail of attempts",
    "retry-after": "`Retry-After`",
    "hedging": "a second attempt beside the first (`Hedging`)",
}
"""The rows: the names of the abilities in marks, and on the page."""

_BLOCKING = "The call blocks its thread, and nothing in Python cancels a thread. A deadline ends it."
_NOT_YET = "Not built for gRPC. `Hedging` in its policy does nothing."
_ALONE = "The call blocks its thread, which cannot wait for two answers. `Hedging` in its policy does nothing."

REASONS: dict[tuple[str, str], str] = {
    **{(client, "cancellation"): _BLOCKING for client in ("requests", "httpx", "httpx2", "urllib3")},
    **{(client, "hedging"): _ALONE for client in ("requests", "httpx", "httpx2", "urllib3")},
    **{(client, "hedging"): _NOT_YET for client in ("grpc", "grpc-aio")},
    ("requests", "http2"): "requests speaks HTTP/1.1 only.",
    ("aiohttp", "http2"): "aiohttp speaks HTTP/1.1 only.",
    ("urllib3", "http2"): "HTTP/2 is an experiment in urllib3, which has to be switched on for all of a process.",
    ("urllib3", "cookies"): "urllib3 keeps no cookies.",
    (
        "grpc",
        "cancellation",
    ): "A call blocks its thread. The call of a stream can be cancelled, and so can a `future()`.",
    **{
        (client, ability): "gRPC has no such thing."
        for client in ("grpc", "grpc-aio")
        for ability in ("redirects", "cookies")
    },
}
"""Why a client cannot do something: by client and ability."""

Shown = Mapping[tuple[str, str], Iterable[str]]
"""The tests that show an ability of a client, ``file::test``, by client and ability."""

_HEAD = """\
# What every client can do

Made by a run of the tests (`make reference`): each *yes* is a test against real servers that passed, named below; each
*no* has its reason. How the clients are used: [http-clients.md](http-clients.md) and
[other-clients.md](other-clients.md).
"""


def page(shown: Shown) -> str:
    """The page, in Markdown. Raises `ValueError` for what is neither shown nor explained, or both."""
    wrong = [
        f"{client}: {ability}"
        for client in CLIENTS
        for ability in ABILITIES
        if bool(shown.get((client, ability))) == ((client, ability) in REASONS)
    ]
    strange = [
        f"{client}: {ability}"
        for client, ability in (*shown, *REASONS)
        if client not in CLIENTS or ability not in ABILITIES
    ]
    if wrong or strange:
        raise ValueError(f"neither a test nor a reason, or both: {wrong}; not in the table: {strange}")
    return "\n".join([_HEAD, *_table(), "", *_why_not(), *_tests(shown)]) + "\n"


def _table() -> Iterator[str]:
    yield "| | " + " | ".join(CLIENTS.values()) + " |"
    yield "|---|" + "---|" * len(CLIENTS)
    notes = [*dict.fromkeys(REASONS.values())]
    for ability, title in ABILITIES.items():
        cells = []
        for client in CLIENTS:
            reason = REASONS.get((client, ability))
            cells.append("yes" if reason is None else f"no ({notes.index(reason) + 1})")
        yield f"| {title} | " + " | ".join(cells) + " |"


def _why_not() -> Iterator[str]:
    notes = [*dict.fromkeys(REASONS.values())]
    if notes:
        yield from ("## Why not", "", *(f"{number}. {reason}" for number, reason in enumerate(notes, 1)), "")


def _tests(shown: Shown) -> Iterator[str]:
    yield from ("## Which tests show it", "")
    for ability, title in ABILITIES.items():
        by_test: dict[str, list[str]] = {}
        for client in CLIENTS:
            for test in sorted(shown.get((client, ability), ())):
                by_test.setdefault(test, []).append(client)
        able = [client for client in CLIENTS if shown.get((client, ability))]
        yield f"- {title}:"
        for test, clients in sorted(by_test.items()):
            yield f"  - `{test}`" + ("" if clients == able else f" ({', '.join(CLIENTS[one] for one in clients)})")


class _Collecting:
    """A plugin that notes which test shows what."""

    def __init__(self) -> None:
        self.shown: dict[tuple[str, str], set[str]] = {}

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for item in items:
            for mark in item.iter_markers("ability"):
                client = mark.kwargs.get("client") or item.callspec.params["caller_class"].__doc__  # type: ignore[attr-defined]
                for ability in mark.args:
                    name = f"{item.path.name}::{getattr(item, 'originalname', item.name)}"
                    self.shown.setdefault((client, ability), set()).add(name)


def _run(*options: str) -> Shown:
    """What the tests show that are marked. Ends the program if one fails."""
    collecting = _Collecting()
    files = [str(path) for path in sorted(E2E.glob("test_*.py")) if "mark.ability(" in path.read_text("utf-8")]
    code = pytest.main(
        ["-q", "-m", "ability", "-p", "no:cacheprovider", f"--rootdir={ROOT}", *options, *files], [collecting]
    )
    if code != pytest.ExitCode.OK:
        raise SystemExit(code)
    return collecting.shown


if __name__ == "__main__":
    *flags, path = sys.argv[1:]
    Path(path).write_text(page(_run(*(["--collect-only"] if "--collected" in flags else []))), "utf-8")
