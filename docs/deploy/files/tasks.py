"""A Celery worker that calls orders. Nobody calls it, so it registers nothing."""

import os

import requests
from celery import Celery

from pydoudou.contrib.celery import connect
from pydoudou.contrib.requests import mount

app = Celery("tasks", broker=os.environ["CELERY_BROKER_URL"], backend=os.environ["CELERY_BROKER_URL"])
connect()  # every process that runs tasks has a registry, from its start to its end


@app.task
def count_items() -> int:
    with requests.Session() as calls:
        mount(calls, "orders")
        return len(calls.get("http://orders/items", timeout=5).json())
