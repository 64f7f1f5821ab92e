"""Options of the commands that join to look only, and how they do."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import attrs
import click

import pydoudou

from ...discovery.configuration.loading import load_configuration
from ...discovery.configuration.reading import read
from ...discovery.configuration.sources import ENVIRONMENT, Configuration

if TYPE_CHECKING:
    from ...drivers.memberlist.settings import MemberlistSettings
    from .gossip import Census

__all__ = ["NAME", "Joining", "joining_options", "loaded", "seed_option"]


class _Name(click.ParamType[str]):
    """The name of a service; empty is what a shell's variable is that nobody set."""

    name = "name"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not value:
            self.fail("it is empty; accepted: the name of a service", param, ctx)
        return value


NAME = _Name()


def loaded(directory: str | None = None) -> Configuration:
    """The environment, and the files of a folder, of which it tells on standard error if there are any.

    Args:
        directory: None for the current one.

    Raises:
        click.UsageError: one cannot be read.
    """
    try:
        found = load_configuration(os.environ, directory)
    except pydoudou.SettingsError as error:
        raise click.UsageError(str(error)) from error
    files = [source.name for source in found.sources if source.name != ENVIRONMENT]
    if files:
        _tell_once(", ".join(files), found.directory)
    return found


@functools.cache
def _tell_once(files: str, folder: str) -> None:
    click.echo(f"pydoudou: settings from {files} in {folder}", err=True)


@attrs.frozen
class Joining:
    """Whom to join, and how long to wait for the first answer.

    Attributes:
        seeds: ``host:port`` of gossip nodes; empty: those of the environment.
        wait: seconds.
        stays: whether the process is there to stay, under the name and the port of the environment; else it has a name
            that is made up, and any port: a service with the same environment may run beside it.
    """

    seeds: Sequence[str]
    wait: float
    stays: bool = False

    def configuration(self) -> Configuration:
        """Where values come from: the options, then the environment, and then the files of the current folder.

        Raises:
            click.UsageError: a file cannot be read.
        """
        found = loaded()
        if not self.seeds:
            return found
        said = {"GDD_MEM_SEED": ",".join(self.seeds)}
        if not found.values().get("GDD_SERVICE_DISCOVERY_MODE"):
            said["GDD_SERVICE_DISCOVERY_MODE"] = "memberlist"
        return found.changed(said)

    def settings(self) -> pydoudou.Settings:
        """Those of a process that registers nothing.

        Raises:
            click.UsageError: what is set is wrong (exit code 2).
        """
        configuration = self.configuration()
        if not self.stays:
            configuration = configuration.changed({"GDD_MEM_NAME": "", "GDD_MEM_PORT": "0"})
        try:
            return pydoudou.Settings.of(read(configuration, register=False))
        except pydoudou.SettingsError as error:
            raise click.UsageError(str(error)) from error

    @contextlib.contextmanager
    def registry(self) -> Iterator[pydoudou.Registry]:
        """A registry with these settings that has joined, and leaves at the end.

        Raises:
            click.ClickException: what is set is wrong (exit code 2), or it cannot join (1).
        """
        registry = pydoudou.Registry(self.settings())
        try:
            registry.start()
        except pydoudou.DiscoveryError as error:
            raise click.ClickException(str(error)) from error
        try:
            yield registry
        finally:
            registry.stop()

    @contextlib.contextmanager
    def census(self, settings: MemberlistSettings) -> Iterator[Census]:
        """All nodes of the gossip, the dead among them; meanwhile one more, which only looks.

        Args:
            settings: those of the gossip in `settings`.

        Raises:
            click.ClickException: the settings name no seed (2), or none answers (1).
        """
        from .gossip import census

        if not settings.seeds:
            raise click.UsageError("whose nodes? Name a gossip node to join: --seed HOST:PORT, or GDD_MEM_SEED")
        try:
            with census(settings, max(1.0, self.wait)) as seen:
                yield seen
        except pydoudou.DiscoveryError as error:
            raise click.ClickException(str(error)) from error


_SEED = click.option(
    "--seed",
    "seeds",
    metavar="HOST:PORT",
    multiple=True,
    help="A gossip node to join, may be given several times. Without it, what the GDD_* variables say holds.",
)


def joining_options(command: Callable[..., None]) -> Callable[..., None]:
    """Adds ``--seed`` and ``--wait``; the command takes both as `joining`, a `Joining`."""

    @_SEED
    @click.option(
        "--wait",
        type=click.FloatRange(0, 600),
        default=5.0,
        show_default=True,
        help="Seconds to wait for the first member, or for the first seed that answers.",
    )
    @functools.wraps(command)
    def joined(*arguments: object, seeds: Sequence[str], wait: float, **options: object) -> None:
        command(*arguments, joining=Joining(seeds, wait), **options)

    return joined


def seed_option(command: Callable[..., None]) -> Callable[..., None]:
    """Adds ``--seed`` alone, for a command that has times of its own; it takes `joining` as well."""

    @_SEED
    @functools.wraps(command)
    def joined(*arguments: object, seeds: Sequence[str], **options: object) -> None:
        command(*arguments, joining=Joining(seeds, 0.0), **options)

    return joined
