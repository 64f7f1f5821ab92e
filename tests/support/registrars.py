"""Registries that share a node, and their registrars: found by what they write down, ended with the test."""

from __future__ import annotations

import contextlib
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from pydoudou import Registry, Settings
from pydoudou.contrib.servers.registrar import shared

from .gossip import FAST_GOSSIP
from .waiting import eventually

__all__ = ["SLOW_TO_SUSPECT", "registrars_of", "sharing", "where_registrars_are"]

SLOW_TO_SUSPECT = {"GDD_MEM_SUSPICION_MULT": "20"}
"""For who is not to notice that a registrar was killed before another one stands, however slow the machine is."""


def sharing(service: str = "", **variables: str) -> Registry:
    """A registry, not yet started, that shares its node and registers `service`, or only looks without one."""
    environment = FAST_GOSSIP | {"GDD_LEAVE_ON_SIGTERM": "false"} | variables
    if service:
        environment["GDD_SERVICE_NAME"] = service
    return Registry(shared(Settings.from_env(environment, register=bool(service))))


def registrars_of(directory: Path) -> list[int]:
    """The registrars that run, by what they have written into their locks."""
    found: list[int] = []
    for lock in directory.rglob("*.lock"):
        with contextlib.suppress(OSError):
            found += map(int, re.findall(r"^process (\d+)", lock.read_text()))
    return [pid for pid in found if b"servers.registrar" in _command(pid)]


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


@contextlib.contextmanager
def where_registrars_are(directory: Path) -> Iterator[Path]:
    """Have registrars meet in this directory, and end those that are left."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(directory))
        try:
            yield directory
        finally:
            for pid in registrars_of(directory):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            eventually(lambda: not registrars_of(directory))
