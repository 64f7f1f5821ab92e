"""`pydoudou run`: a program in any language, registered while it answers."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Mapping

import attrs
import click

import pydoudou

from ...discovery.configuration.reading import read
from ..servers import Check, RegisteredServer
from ..servers.child import Child
from ..servers.registered_above import marked
from .joining import loaded

__all__ = ["run"]

_CANNOT_BE_RUN, _NOT_FOUND = 126, 127
"""What shells exit with."""
_ANSWERS_ALREADY = 0.5
"""Seconds."""


@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.option("--service", metavar="NAME", help="The name under which others find it; else GDD_SERVICE_NAME.")
@click.option("--port", type=click.IntRange(1, 65535), help="The port that it serves on; else GDD_PORT.")
@click.option(
    "--check",
    "path",
    metavar="PATH",
    default="/",
    show_default=True,
    help="What is asked, at the advertised address, before it is registered; any status below 500 will do.",
)
@click.option("--https", is_flag=True, help="It is asked over HTTPS. The certificate is not verified.")
@click.option(
    "--drain",
    metavar="SECONDS",
    type=click.FloatRange(0, 3600),
    help="How long it serves on after it has left; else GDD_DRAIN_TIME, and longer where the gossip needs it.",
)
@click.option("--export", is_flag=True, help="COMMAND gets the variables that stand in files in its environment, too.")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def run(
    service: str | None,
    port: int | None,
    path: str,
    https: bool,
    drain: float | None,
    export: bool,
    command: tuple[str, ...],
) -> None:
    """Run COMMAND, and register it once it answers.

    At SIGTERM it leaves first: callers hear that it goes while it still answers. Then the signal is sent on. A second
    one, and every other signal, goes through at once. The exit code is that of COMMAND, or 128 and the signal that
    ended it. Nothing is started again. What else there is to set are the variables GDD_*, of the environment and of the
    files of the current folder.
    """
    logging.basicConfig(level=logging.WARNING, format="pydoudou: %(message)s")
    said = {"GDD_SERVICE_NAME": service, "GDD_PORT": None if port is None else str(port)}
    options = {name: value for name, value in said.items() if value is not None}
    found = loaded()
    variables = {**(found.values() if export else os.environ), **options}
    try:
        settings = pydoudou.Settings.of(read(found.changed(options), register=True))
        registry = pydoudou.Registry(attrs.evolve(settings, leave_on_sigterm=False))
        scheme = "https" if https else "http"
        # Whoever answers before the program was started has its port.
        check = Check(settings.register_host, settings.port, path, scheme, timeout=_ANSWERS_ALREADY)
        server = RegisteredServer(registry, path, scheme=scheme, drain=drain, doubtful=not check.problem())
    except (pydoudou.SettingsError, ValueError) as error:
        raise click.UsageError(str(error)) from error
    sys.exit(_run(registry, server, command, marked(variables, registry.settings)))


def _run(
    registry: pydoudou.Registry, server: RegisteredServer, command: tuple[str, ...], environment: Mapping[str, str]
) -> int:
    """The code to exit with."""

    def leave_first(number: int) -> bool:
        return server.drain_soon(lambda: child.send(number))

    try:
        child = Child(command, leave_first, environment)
    except OSError as error:
        click.echo(f"pydoudou: {command[0]!r} cannot be run: {error.strerror}", err=True)
        return _NOT_FOUND if isinstance(error, FileNotFoundError) else _CANNOT_BE_RUN
    try:
        registry.start(announce=False)
    except pydoudou.DiscoveryError as error:
        click.echo(f"pydoudou: {error}", err=True)
        child.send(signal.SIGTERM)
        return child.wait() or 1
    server.start()
    try:
        return child.wait()
    finally:
        registry.stop()  # first: it ends a drain that still waits
        server.stop()
