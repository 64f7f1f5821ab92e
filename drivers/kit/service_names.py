"""go-doudou's names of services, in every backend: v2 registers ``orders_rest`` and ``orders_grpc``, v1 ``orders``.

Callers say ``orders`` for what speaks HTTP, whichever generation registered it. A gRPC service keeps its suffix: it
shares its plain name with an HTTP service, and neither can stand in for the other.
"""

from __future__ import annotations

__all__ = ["is_grpc", "plain_name", "rest_name"]

_REST = "_rest"
_GRPC = "_grpc"


def plain_name(name: str) -> str:
    """``orders`` for ``orders_rest``; any other name as it is."""
    return name.removesuffix(_REST)


def rest_name(service: str) -> str:
    """The name under which go-doudou v2 finds the HTTP service `service`."""
    return service + _REST


def is_grpc(name: str) -> bool:
    """Whether the name says that the service speaks gRPC."""
    return name.endswith(_GRPC)
