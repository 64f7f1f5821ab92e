"""A FastAPI application, registered while its server answers.

::

    from pydoudou.contrib.fastapi import lifespan

    app = FastAPI(lifespan=lifespan())
    app = FastAPI(lifespan=lifespan(my_own))   # composed with yours

It is Starlette's (`pydoudou.contrib.starlette`), of which FastAPI is made.
"""

from __future__ import annotations

from .starlette import lifespan

__all__ = ["lifespan"]
