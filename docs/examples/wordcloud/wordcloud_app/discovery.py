"""How a service finds the others: by discovery, or where the variables of the original say (GDD_MODE=mono)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import httpx

import pydoudou
from pydoudou.contrib.httpx import DiscoveryTransport

from .errors import BizError

__all__ = ["Service", "settings"]

_ADDRESSES = {
    "wordcloud-usersvc": ("USERSVC", "http://localhost:6061"),
    "wordcloud-tasksvc": ("WORDCLOUDTASK", "http://localhost:6062"),
    "wordcloud-segsvc": ("WORDCLOUDSEG", "http://localhost:6063"),
    "wordcloud-makersvc": ("WORDCLOUDMAKER", "http://localhost:6064"),
}
LONGEST_CALL = 180.0
_POLICY = pydoudou.CallPolicy(deadline=LONGEST_CALL, attempts=3, breaker=pydoudou.CircuitBreaker())


def settings(service: str) -> pydoudou.Settings:
    """What the registry of `service` is told: micro registers and discovers, mono knows the addresses."""
    variables = {"GDD_SERVICE_NAME": service, **os.environ}
    if variables.get("GDD_MODE", "mono") != "micro":
        variables["GDD_SERVICE_DISCOVERY_MODE"] = "static"
        variables["GDD_STATIC_VARIABLES"] = ",".join(f"{name}={variable}" for name, (variable, _) in _ADDRESSES.items())
        variables = dict(_ADDRESSES.values()) | variables
    return pydoudou.Settings.from_env(variables)


class Service:
    """Another service of the system, as a client of its routes.

    Args:
        name: under which it registers.
        balancer: how a member of it is chosen for a call.
        repeatable: whether a POST may be sent again after its connection broke: the service does nothing twice.
    """

    def __init__(self, name: str, balancer: type = pydoudou.RoundRobin, *, repeatable: bool = False) -> None:
        self._name = name
        policy = _POLICY
        if repeatable:
            policy = policy.change(idempotent_methods=policy.idempotent_methods | {"POST"})
        transport = DiscoveryTransport(balancer=balancer, policy=policy)
        self._http = httpx.AsyncClient(transport=transport, base_url=f"http://{name}", timeout=LONGEST_CALL)

    async def call(self, method: str, path: str, **options: Any) -> Any:
        """The JSON of the answer.

        Args:
            options: as `httpx.AsyncClient.request`.

        Raises:
            BizError: the service's own status and reason; 503 if nobody answered.
        """
        response = await self.send(method, path, **options)
        if response.is_error:
            raise BizError(response.status_code, response.text)
        return response.json()

    async def send(self, method: str, path: str, **options: Any) -> httpx.Response:
        """The answer, whatever its status.

        Raises:
            BizError: 503, nobody answered.
        """
        try:
            return await self._http.request(method, path, **options)
        except httpx.TransportError as error:
            raise BizError(503, f"{self._name} cannot be reached: {error}") from error

    async def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """The JSON of the answer to a POST of JSON.

        Raises:
            BizError: as `call`.
        """
        return await self.call("POST", path, json=body)

    async def close(self) -> None:
        """Close its connections."""
        await self._http.aclose()
