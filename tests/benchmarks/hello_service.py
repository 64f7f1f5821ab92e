"""A hello service of FastAPI under uvicorn or of Flask under gunicorn, as a program and as gunicorn's configuration.

    HELLO=seen python tests/benchmarks/hello_service.py PORT
    HELLO=seen gunicorn -c hello_service.py "hello_service:flask_app()"

With ``HELLO=seen`` it is registered and its requests are counted, with ``HELLO=protected`` it has a bulkhead too; else
nothing of pydoudou is imported.
"""

from __future__ import annotations

import os
import sys
from typing import Any

SEEN = os.environ.get("HELLO") in ("seen", "protected")
PROTECTED = os.environ.get("HELLO") == "protected"
if SEEN:
    from pydoudou.contrib.gunicorn import post_worker_init, worker_exit  # noqa: F401 (gunicorn reads the names)

worker_class, threads, workers, loglevel = "gthread", 4, 1, "warning"


def fastapi_app() -> Any:
    from fastapi import FastAPI

    if not SEEN:
        app = FastAPI()
    else:
        from pydoudou.contrib.fastapi import lifespan

        app = FastAPI(lifespan=lifespan())

    @app.get("/")
    async def hello() -> dict[str, str]:
        return {"hello": "world"}

    if not SEEN:
        return app
    from pydoudou.contrib.prometheus import Metrics
    from pydoudou.contrib.protection.asgi import Bulkhead

    return Metrics().register().asgi(Bulkhead(app, workers=100) if PROTECTED else app)


def flask_app() -> Any:
    from flask import Flask

    app = Flask(__name__)

    @app.get("/")
    def hello() -> dict[str, str]:
        return {"hello": "world"}

    if SEEN:
        from pydoudou.contrib.flask import Doudou
        from pydoudou.contrib.prometheus import Metrics
        from pydoudou.contrib.protection.wsgi import Bulkhead

        Doudou(app)
        inside = Bulkhead(app.wsgi_app, workers=100) if PROTECTED else app.wsgi_app
        app.wsgi_app = Metrics().register().wsgi(inside)  # type: ignore[method-assign]
    return app


if __name__ == "__main__":
    import uvicorn

    uvicorn.run(fastapi_app(), host="127.0.0.1", port=int(sys.argv[1]), log_level="warning", access_log=False)
