"""The command line of ``run``."""

from __future__ import annotations

import functools
import json
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NoReturn

import click
from rich.console import Console

from .live import watch
from .parts import PartFailed
from .topology import SERVICES, System, needs_nacos
from .upload import upload

__all__ = ["main"]

_SEEN_WITHIN = 30.0


def _scale(context: click.Context, option: click.Parameter, given: tuple[str, ...]) -> dict[str, int]:
    scale: dict[str, int] = {}
    for item in given:
        name, _, number = item.partition("=")
        full = name if name.endswith("svc") else f"{name}svc"
        if full not in SERVICES or not number.isdecimal() or not 1 <= int(number) <= 20:
            raise click.BadParameter(f"{item!r}; accepted: maker=3, of {', '.join(SERVICES)}, 1 to 20")
        scale[full] = int(number)
    return scale


def _discovery(context: click.Context, option: click.Parameter, given: str) -> str:
    names = given.split(",")
    if given != "mono" and not set(names) <= {"memberlist", "nacos"}:
        raise click.BadParameter(f"{given!r}; accepted: memberlist, nacos, memberlist,nacos or mono")
    return given


@click.command()
@click.option("--full", is_flag=True, help="Real parts: PostgreSQL, Redis, Prometheus and others, where they are.")
@click.option("--scale", multiple=True, callback=_scale, metavar="NAME=N", help="Processes of a service: maker=3.")
@click.option(
    "--discovery",
    default="memberlist",
    callback=_discovery,
    help="memberlist, nacos, both with a comma, or mono for none.",
)
@click.option("--once", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Upload this, and stop.")
@click.option("--lang", default="en", show_default=True, type=click.Choice(["zh", "en"]), help="Of the file.")
@click.option("--top", default=0, show_default=True, help="How many words are drawn; 0 for all.")
@click.option("--folder", type=click.Path(path_type=Path), help="For logs and data; a new one by default.")
def main(
    full: bool, scale: dict[str, int], discovery: str, once: Path | None, lang: str, top: int, folder: Path | None
) -> NoReturn:
    """Start all services of the word cloud system on this machine, and stop them at Ctrl-C.

    With --once the last line is a JSON object of what became of the file, and the exit code is 0 if there is a picture.
    """
    if needs_nacos(discovery):
        raise click.UsageError("--discovery nacos needs a server: set GDD_NACOS_SERVER_ADDR=host:port")
    console = Console(stderr=once is not None)
    tell = functools.partial(console.print, soft_wrap=True, markup=False, highlight=False)
    if folder is None:
        folder = Path(tempfile.mkdtemp(prefix="wordcloud-"))
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    system = System(folder.resolve(), discovery, scale, tell, full)
    code = 0
    try:
        system.start()
        if once is None:
            watch(system, console)
        else:
            told = _once(system, once, lang, top)
            print(json.dumps(told))
            code = 0 if told["image_bytes"] else 1
    except PartFailed as error:
        console.print(f"{error}", style="red", markup=False)
        code = 1
    except KeyboardInterrupt:
        code = 130 if once is not None else 0
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)  # a second one would leave processes behind
        console.print(f"stopping; the logs are in {folder}")
        system.stop()
    sys.exit(code)


def _interrupt(number: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt


def _once(system: System, file: Path, language: str, top: int) -> dict[str, Any]:
    told = upload(system.url, file, language, top)
    expected = {"wordcloud-bff": 1, **{f"wordcloud-{name}": system.scale.get(name, 1) for name in SERVICES}}
    deadline = time.monotonic() + _SEEN_WITHIN
    while (members := system.members()) != expected and time.monotonic() < deadline and system.discovery != "mono":
        time.sleep(0.1)
    return told | {"services": members}
