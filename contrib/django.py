"""A Django project, registered while it answers; in ``wsgi.py`` or ``asgi.py``, in the place of Django's own function:

::

    from pydoudou.contrib.django import get_wsgi_application

    application = get_wsgi_application()

Never start a node in ``AppConfig.ready``: management commands and the reloader's parent run it too, and serve nothing.
These modules are imported by what serves, or is to.

WSGI: under gunicorn its hooks register the service (`pydoudou.contrib.gunicorn`), behind `pydoudou run` that does; in a
server of one process (``runserver``, waitress) the application itself, once it is called. ASGI: the server's lifespan,
which Django does not answer, is answered here. What is registered, and with whom, are the variables GDD_*; GDD_PORT is
the port that the server listens on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

try:
    from django.core import asgi as django_asgi
except ModuleNotFoundError as error:
    raise ModuleNotFoundError("pydoudou.contrib.django needs django: pip install 'pydoudou[django]'") from error

from django.core import wsgi as django_wsgi

from ..discovery.settings import Settings
from . import asgi, wsgi

__all__ = ["get_asgi_application", "get_wsgi_application"]


def get_wsgi_application(
    data: Mapping[str, Any] | None = None,
    *,
    settings: Settings | None = None,
    check: str = "/",
    scheme: str = "http",
    drain: float | None = None,
) -> wsgi.Registered:
    """Django's, registered in the process that calls it.

    Args:
        data: the metadata to register; flat, with text for keys.
        settings: instead of those of the environment; not Django's.
        check: the path that is asked, at the advertised address; any status below 500 will do, as that of a host that
            Django does not allow.
        scheme: http or https.
        drain: seconds to serve on after leaving; None: as `Registry.drain`.

    Raises:
        TypeError, ValueError: an argument cannot be used.
    """
    application = django_wsgi.get_wsgi_application()
    return wsgi.Registered(application, data, settings=settings, check=check, scheme=scheme, drain=drain)


def get_asgi_application(
    data: Mapping[str, Any] | None = None,
    *,
    settings: Settings | None = None,
    check: str = "/",
    scheme: str = "http",
    drain: float | None = None,
) -> asgi.Registered:
    """Django's, registered from the server's startup to its shutdown. The same arguments as `get_wsgi_application`."""
    application = django_asgi.get_asgi_application()
    return asgi.Registered(application, data, settings=settings, check=check, scheme=scheme, drain=drain)
