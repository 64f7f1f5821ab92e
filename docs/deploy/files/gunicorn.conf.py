"""gunicorn's configuration: the hooks of pydoudou register the service once it answers, and drain it at SIGTERM."""

from typing import Any

from prometheus_client import multiprocess

from pydoudou.contrib.gunicorn import post_worker_init, worker_exit  # noqa: F401 (gunicorn reads the names)

bind = "0.0.0.0:8080"
worker_class = "gthread"
workers = 2
threads = 8
graceful_timeout = 20


def child_exit(server: Any, worker: Any) -> None:
    multiprocess.mark_process_dead(worker.pid)  # its gauges count no more
