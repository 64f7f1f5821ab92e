"""A Flask application, registered while it answers.

::

    from pydoudou.contrib.flask import Doudou

    doudou = Doudou()

    def create_app():
        app = Flask(__name__)
        app.config["DOUDOU_CHECK"] = "/healthz"
        doudou.init_app(app)
        return app

Flask does not tell when it begins to serve. Under gunicorn its hooks register the service
(`pydoudou.contrib.gunicorn`), behind `pydoudou run` that does; in a server of one process (``flask run``, ``app.run``,
waitress) the application itself, once it is called: never in the parent of the reloader, in a command or in a test.
What is registered, and with whom, are the variables GDD_*; GDD_PORT is the port that the server listens on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

try:
    from flask import Flask
except ModuleNotFoundError as error:
    raise ModuleNotFoundError("pydoudou.contrib.flask needs flask: pip install 'pydoudou[flask]'") from error

import click
from flask.cli import FlaskGroup, run_command

from ..discovery.settings import Settings
from ..drivers.kit import own_process
from .servers.called import CalledServer

__all__ = ["Doudou"]


class Doudou:
    """The extension; one object for any number of applications, of which a process serves one.

    The configuration of an application is read by `init_app`: ``DOUDOU_DATA`` (the metadata to register; flat, with
    text for keys), ``DOUDOU_CHECK`` (the path that is asked, at the advertised address; any status below 500 will do;
    ``/``), ``DOUDOU_SCHEME`` (``http`` or ``https``) and ``DOUDOU_DRAIN`` (seconds to serve on after leaving; None: as
    `Registry.drain`). ``app.extensions["doudou"]`` is what says how the registration is doing (`CalledServer.status`).

    Args:
        app: as for `init_app`.
        settings: instead of those of the environment.

    Raises:
        TypeError, ValueError: an argument cannot be used.
    """

    def __init__(self, app: Flask | None = None, *, settings: Settings | None = None) -> None:
        self._settings = settings
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Have `app` registered when it is served.

        Raises:
            TypeError, ValueError: an argument cannot be used.
        """
        server = CalledServer(
            app.config.setdefault("DOUDOU_DATA", None),
            settings=self._settings,
            check=app.config.setdefault("DOUDOU_CHECK", "/"),
            scheme=app.config.setdefault("DOUDOU_SCHEME", "http"),
            drain=app.config.setdefault("DOUDOU_DRAIN", None),
        )
        served = app.wsgi_app

        def called(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
            # In this order: `testing` is looked for in the configuration each time.
            if own_process.number not in server.begun and not app.testing:
                server.called()
            return served(environ, start_response)

        app.extensions["doudou"] = server
        app.wsgi_app = called  # type: ignore[method-assign]
        if not app.testing and not _is_command():
            server.ask()


def _is_command() -> bool:
    """Whether this is a command of Flask's that serves nothing, such as ``flask shell``."""
    context = click.get_current_context(silent=True)
    if context is None or not isinstance(context.find_root().command, FlaskGroup):
        return False
    return context.command is not run_command
