"""Keeping a service from more than it can do: places for requests, and limits of their rate, for ASGI and for WSGI.

The middleware is in `asgi` and `wsgi`, where limits are counted in `memory` and `redis`.
"""
