"""The registry page: who is registered, where, and how they are doing, for an operator's browser.

::

    from pydoudou.contrib.page import RegistryPage

    app.mount("/go-doudou", RegistryPage())      # FastAPI and Starlette; the page is at /go-doudou/registry

It is an ASGI application without dependencies. ``docs/page.md`` has the lines for Django and Flask.
"""

from .asgi import RegistryPage

__all__ = ["RegistryPage"]
