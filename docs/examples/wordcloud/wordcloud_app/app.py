"""What all five services are made of: discovery, the registry page, metrics, traces, errors as text."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable

from fastapi import FastAPI

from pydoudou.contrib.fastapi import lifespan
from pydoudou.contrib.page import RegistryPage
from pydoudou.contrib.prometheus import Metrics

from . import tracing
from .discovery import settings
from .errors import tell_errors

__all__ = ["make_app"]

CHECK = "/healthz"


def make_app(service: str, on_stop: Callable[[], Awaitable[None]] | None = None) -> FastAPI:
    """An application that is registered under the name while it answers.

    Args:
        on_stop: is awaited when it ends.
    """
    logging.basicConfig(level=logging.INFO, format=f"%(asctime)s {service} %(levelname)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)

    @contextlib.asynccontextmanager
    async def own(app: FastAPI) -> AsyncIterator[None]:
        yield
        if on_stop is not None:
            await on_stop()

    app = FastAPI(title=service, lifespan=lifespan(own, settings=settings(service), check=CHECK))
    tell_errors(app)

    @app.get(CHECK, include_in_schema=False)
    async def healthy() -> str:
        return "ok"

    metrics = Metrics(tutorial_names=True).register()
    app.add_middleware(metrics.asgi)
    tracing.begin(app, service)
    app.mount("/go-doudou", RegistryPage())
    return app
