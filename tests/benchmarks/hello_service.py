"""A hello service of FastAPI under uvicorn or of Flask under gunicorn, as a program and as gunicorn's configuration.

    HELLO=with python tests/benchmarks/hello_service.py PORT
    HELLO=with gunicorn -c hello_service.py "hello_service:flask_app()"

With ``HELLO=with`` it is registered, its requests are counted and its calls are traced; else nothing of pydoudou is
imported.
"""

from __future__ import annotations

import os
import sys
from typing import Any

WITH = os.environ.get("HELLO") == "with"
if WITH:
    from pydoudou.contrib.gunicorn import post_worker_init, worker_exit  # noqa: F401 (gunicorn reads the names)

worker_class, threads, workers, loglevel = "gthread", 4, 1, "warning"


def fastapi_app() -> Any:
    from fastapi import FastAPI

    if not WITH:
        app = FastAPI()
    else:
        from pydoudou.contrib.fastapi import lifespan

        app = FastAPI(lifespan=lifespan())

    @app.get("/")
    async def hello() -> dict[str, str]:
        return {"hello": "world"}

    if not WITH:
        return app
    from pydoudou.contrib.prometheus import Metrics

    return Metrics().register().asgi(app)


def flask_app() -> Any:
    from flask import Flask

    app = Flask(__name__)

    @app.get("/")
    def hello() -> dict[str, str]:
        return {"hello": "world"}

    if WITH:
        from pydoudou.contrib.flask import Doudou
        from pydoudou.contrib.prometheus import Metrics

        Doudou(app)
        app.wsgi_app = Metrics().register().wsgi(app.wsgi_app)  # type: ignore[method-assign]
    return app


if __name__ == "__main__":
    import uvicorn

    uvicorn.run(fastapi_app(), host="127.0.0.1", port=int(sys.argv[1]), log_level="warning", access_log=False)
