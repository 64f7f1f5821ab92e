"""``pydoudou page``: the registry page, served alone by a process that joins to look only."""

from __future__ import annotations

import signal
import socket
import sys
from collections.abc import Sequence

import click

from ...drivers.members import bracketed
from ..page.messages import PREFIX
from .joining import Joining

__all__ = ["page"]

_INTERRUPTED = 130


@click.command()
@click.option(
    "--join",
    "seeds",
    metavar="HOST:PORT",
    multiple=True,
    help="A gossip node to join, may be given several times. Without it, what the GDD_* variables say holds.",
)
@click.option("--listen", metavar="HOST:PORT", default="127.0.0.1:6061", show_default=True, help="Where to serve it.")
def page(seeds: Sequence[str], listen: str) -> None:
    """Serve the registry page: who is registered, where, and how they are doing.

    Without GDD_MANAGE_USER and GDD_MANAGE_PASS it is for this machine's own browser only.
    """
    try:
        import uvicorn
    except ModuleNotFoundError as error:
        raise click.ClickException("the page needs a server: pip install 'pydoudou[page]'") from error
    from ..page import RegistryPage

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            """Tells where it is when it is there, and a Ctrl-C ends it."""
            await super().startup(sockets)
            host, port = listener.getsockname()[:2]
            click.echo(f"the registry page is at http://{bracketed(host)}:{port}{PREFIX}/registry; Ctrl-C ends it")
            if not registry.settings.manage_user:
                click.echo("for this machine only: set GDD_MANAGE_USER and GDD_MANAGE_PASS to look from elsewhere")

    with _listening(listen) as listener, Joining(seeds, 0.0).registry() as registry:
        config = uvicorn.Config(
            RegistryPage(registry),
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            # Whoever claims to speak for somebody else is refused, and not believed.
            proxy_headers=False,
            timeout_graceful_shutdown=1,
            ws="none",
        )
        # The server ends what it serves, and then raises the signal once more: the registry has to leave yet.
        signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
        try:
            Server(config).run(sockets=[listener])
        except KeyboardInterrupt:
            sys.exit(_INTERRUPTED)


def _listening(text: str) -> socket.socket:
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]") or "127.0.0.1"
    if not colon or not port.isdecimal() or int(port) > 0xFFFF:
        raise click.BadParameter(f"{text!r} is not HOST:PORT, such as 127.0.0.1:6061", param_hint="--listen")
    try:
        family = socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, int(port)), family=family, backlog=128)
    except OSError as error:
        raise click.ClickException(f"cannot listen on {text}: {error.strerror or error}") from error
