"""The service orders, under uvicorn: registered while it answers, scraped at /metrics."""

from fastapi import FastAPI
from prometheus_client import make_asgi_app

from pydoudou.contrib.fastapi import lifespan
from pydoudou.contrib.prometheus import Metrics

api = FastAPI(lifespan=lifespan(check="/healthz"))
api.mount("/metrics", make_asgi_app())


@api.get("/healthz")
async def healthy() -> str:
    return "ok"


@api.get("/items")
async def items() -> list[str]:
    return ["tea", "coffee"]


app = Metrics().register().asgi(api)
