"""The service shop, under gunicorn: calls orders, whoever that is. All its workers are scraped together at /metrics."""

from collections.abc import Callable, Iterable
from typing import Any

import requests
from flask import Flask
from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.multiprocess import MultiProcessCollector
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from pydoudou.contrib.prometheus import Metrics
from pydoudou.contrib.requests import mount

app = Flask(__name__)
calls = requests.Session()
mount(calls, "orders")


@app.get("/")
def hello() -> str:
    return "shop"


@app.get("/items")
def items() -> list[str]:
    found: list[str] = calls.get("http://orders/items", timeout=5).json()
    return found


def scraped(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    collectors = CollectorRegistry()
    MultiProcessCollector(collectors)  # reads PROMETHEUS_MULTIPROC_DIR
    answer: Iterable[bytes] = make_wsgi_app(collectors)(environ, start_response)
    return answer


metrics = Metrics().register()
app.wsgi_app = DispatcherMiddleware(metrics.wsgi(app.wsgi_app), {"/metrics": scraped})  # type: ignore[method-assign]
