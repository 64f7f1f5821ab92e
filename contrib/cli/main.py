"""The commands and their options; what they do stands in modules of their own."""

from __future__ import annotations

import logging
import sys
from importlib import import_module

import click

__all__ = ["main"]

_MODULES = {
    "doctor": ".doctor",
    "events": ".events",
    "explain": ".explain",
    "keygen": ".keys",
    "keys": ".keys",
    "leave": ".leave",
    "members": ".members",
    "page": ".page",
    "ping": ".ping",
    "run": ".run",
    "sd": ".sd",
    "services": ".members",
    "settings": ".settings",
    "simulate": ".simulate",
    "status": ".status",
}
"""Commands that are in a module of their own, which is imported when it is needed."""


class _Commands(click.Group):
    """The commands of this module, and those of `_MODULES`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*super().list_commands(ctx), *_MODULES])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in _MODULES:
            command: click.Command = getattr(import_module(_MODULES[cmd_name], __package__), cmd_name)
            return command
        return super().get_command(ctx, cmd_name)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="pydoudou")
def main() -> None:
    """Service registration and discovery: SWIM gossip, Nacos, or both at once."""
    logging.basicConfig(level=logging.WARNING, format="pydoudou: %(message)s")


@main.command()
@click.option(
    "--json", "as_json", is_flag=True, help="Print the summary as one JSON object; the story is told on standard error."
)
@click.option(
    "--calls",
    type=click.IntRange(1, 100_000),
    default=500,
    show_default=True,
    help="Of each client through each balancer, before a service is killed; shares need some hundreds.",
)
def demo(as_json: bool, calls: int) -> None:
    """Three services find each other by gossip and are called; one is killed, one leaves, and the calls go on."""
    try:
        import httpx  # noqa: F401
        import requests  # noqa: F401
    except ImportError as error:
        raise click.ClickException(
            f"the demo calls its services through requests and httpx, and {error.name} is not installed: "
            "pip install 'pydoudou[requests,httpx]'"
        ) from error
    from .demo import run_demo

    sys.exit(run_demo(as_json=as_json, calls=calls))
