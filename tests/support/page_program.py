"""A program with the registry page in it, in a process of its own: ``python page_program.py FRAMEWORK``.

Its settings are those of the environment. It prints its base URL and serves until its standard input closes.
"""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.page_server import serving, serving_wsgi

import pydoudou
from pydoudou.contrib.page import RegistryPage

__all__ = ["FRAMEWORKS", "main"]


def _fastapi(page: RegistryPage) -> Any:
    from fastapi import FastAPI

    app = FastAPI()
    app.mount("/go-doudou", page)

    @app.get("/")
    def own() -> str:
        return "own"

    return app


def _starlette(page: RegistryPage) -> Any:
    from starlette.applications import Starlette
    from starlette.responses import PlainTextResponse
    from starlette.routing import Mount, Route

    return Starlette(routes=[Mount("/go-doudou", page), Route("/", lambda request: PlainTextResponse("own"))])


def _flask(page: RegistryPage) -> Any:
    from flask import Flask

    app = Flask("own")
    app.add_url_rule("/", view_func=lambda: "own")
    app.wsgi_app = page.beside_wsgi(app.wsgi_app)  # type: ignore[method-assign]
    return app


def _configure_django() -> None:
    import django
    from django.conf import settings
    from django.http import HttpResponse
    from django.urls import path

    urls = type(sys)("own_urls")
    urls.urlpatterns = [path("", lambda request: HttpResponse("own"))]  # type: ignore[attr-defined]
    sys.modules["own_urls"] = urls
    settings.configure(ROOT_URLCONF="own_urls", ALLOWED_HOSTS=["*"], SECRET_KEY="of a test")
    django.setup()


def _django_asgi(page: RegistryPage) -> Any:
    _configure_django()
    from django.core.asgi import get_asgi_application

    return page.beside(get_asgi_application())


def _django_wsgi(page: RegistryPage) -> Any:
    _configure_django()
    from django.core.wsgi import get_wsgi_application

    return page.beside_wsgi(get_wsgi_application())


_MAKERS = {
    "fastapi": _fastapi,
    "starlette": _starlette,
    "django under ASGI": _django_asgi,
    "flask": _flask,
    "django under WSGI": _django_wsgi,
}
_WSGI = ("flask", "django under WSGI")
FRAMEWORKS = tuple(_MAKERS)


def main(framework: str) -> None:
    """Serve until standard input closes."""
    with pydoudou.new_node(register=False), contextlib.ExitStack() as stack:
        serve = serving_wsgi if framework in _WSGI else serving
        print(stack.enter_context(serve(_MAKERS[framework](RegistryPage()))), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main(sys.argv[1])
