"""``pydoudou sd --out FILE``: the members as targets of a Prometheus, in a file that follows them."""

from __future__ import annotations

import contextlib
import json
import os
import threading
from pathlib import Path
from typing import NoReturn

import attrs
import click

import pydoudou

from ...discovery.merging.events import MemberEvent
from ...discovery.observer import Observer
from ..prometheus_sd import target_groups
from .arrivals import wait_for_members
from .events import interruptible
from .joining import Joining, joining_options

__all__ = ["sd"]

_QUIET, _AT_THE_LATEST = 0.2, 1.0
"""A change is written when none has followed for so many seconds, and after so many whatever follows."""
_AGAIN = 5.0
"""Seconds until what could not be written is tried again."""


@click.command()
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="The file, as file_sd_configs names it. It is replaced as a whole, never written into.",
)
@joining_options
def sd(out: Path, joining: Joining) -> None:
    """Write all members to a file as targets for Prometheus, and go on until Ctrl-C or SIGTERM.

    The labels are service_id, hostname and base_url. With GDD_MEM_PORT set, other nodes can name this process as their
    seed.
    """
    changes = _Changes()
    with interruptible(), attrs.evolve(joining, stays=True).registry() as registry:
        registry.add_observer(changes)
        found = wait_for_members(registry, None, joining.wait)
        if found or not out.exists() or registry.status().ready:
            _write(out, found, told=True)
        else:
            click.echo(f"nobody is known yet: {out} stays what it was", err=True)
        _follow(registry, out, changes)


class _Changes(Observer):
    def __init__(self) -> None:
        self.happened = threading.Event()

    def member_changed(self, event: MemberEvent) -> None:
        self.happened.set()


def _follow(registry: pydoudou.Registry, out: Path, changes: _Changes) -> NoReturn:
    wait: float | None = None
    while True:
        changes.happened.wait(wait)
        changes.happened.clear()
        for _ in range(round(_AT_THE_LATEST / _QUIET)):
            if not changes.happened.wait(_QUIET):
                break
            changes.happened.clear()
        wait = None
        try:
            _write(out, registry.members())
        except click.ClickException as error:
            click.echo(f"{error.format_message()}; trying again in {_AGAIN:g} s", err=True)
            wait = _AGAIN


def _write(out: Path, members: tuple[pydoudou.Member, ...], *, told: bool = False) -> None:
    """Replace the file by another one, so that nobody ever reads half of it, and say so.

    Args:
        told: whether to say it even if that is what the file has already.

    Raises:
        click.ClickException: it cannot be written.
    """
    groups = target_groups(members)
    text = json.dumps(groups, indent=1) + "\n"
    with contextlib.suppress(OSError, UnicodeError):
        if out.read_text("utf-8") == text:
            if told:
                click.echo(f"{len(groups)} targets in {out}")
            return
    try:
        _replace(out, text)
    except OSError as error:
        reason = error.strerror or str(error)
        raise click.ClickException(
            f"{out} cannot be written: {reason}; it needs a folder that this user may write to"
        ) from error
    click.echo(f"{len(groups)} targets in {out}")


def _replace(path: Path, text: str) -> None:
    """Have `path` contain `text`, on the disk too, by one step: with a new file, which then takes its name.

    Raises:
        OSError: that is not possible; the file is what it was.
    """
    path = path.resolve()  # what a link leads to is replaced, and not the link
    beside = path.with_name(f".{path.name}.{os.getpid()}.new")  # no *.json, which Prometheus may be told to read
    try:
        beside.unlink(missing_ok=True)
        with beside.open("x", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            beside.chmod(path.stat().st_mode & 0o777)
        beside.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
