"""What tests find kept, and what they must not take for it."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import anyio
import pytest
from anyio import to_thread
from support.held import Holdings


def test_whatever_was_kept_is_named(tmp_path: Path) -> None:
    over, before, kept = threading.Event(), Holdings(tmp_path), tmp_path / "kept"
    thread = threading.Thread(target=over.wait, name="kept thread", daemon=True)
    handler = signal.getsignal(signal.SIGTERM)
    with kept.open("w") as opened:
        thread.start()
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        try:
            with pytest.raises(AssertionError, match=r"held after 0\.05 s: SIGTERM's handler") as raised:
                before.assert_nothing_new(within=0.05)
        finally:
            signal.signal(signal.SIGTERM, handler)
            over.set()
        for each in (f"descriptor {opened.fileno()}: {kept}", f"file {kept}", "thread kept thread"):
            assert each in str(raised.value)
    kept.unlink()
    before.assert_nothing_new()


def test_what_ends_meanwhile_does_not_pay_for_what_is_kept() -> None:
    over = threading.Event()
    older = threading.Thread(target=over.wait)
    older.start()
    reading, writing = os.pipe()
    before = Holdings()
    over.set()
    older.join()
    os.close(reading)
    another, writing_too = os.pipe()
    try:
        (kept, _) = before.new()
        assert kept.startswith(f"descriptor {another}: pipe:")
    finally:
        for each in (writing, another, writing_too):
            os.close(each)
    assert before.new() == []


def test_workers_that_anyio_keeps_for_its_loop_are_no_find() -> None:
    async def asked() -> None:
        before = Holdings()
        await to_thread.run_sync(lambda: None)
        await before.assert_nothing_new_async(within=1)

    anyio.run(asked)
