"""How a service finds the others: by discovery, or where the variables of the original say (GDD_MODE=mono)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import httpx
import tenacity

import pydoudou
from pydoudou.contrib.httpx import DiscoveryTransport

from .errors import BizError
from .variables import number

__all__ = ["LONGEST_CALL", "Service", "settings"]

_ADDRESSES = {
    "wordcloud-usersvc": ("USERSVC", "http://localhost:6061"),
    "wordcloud-tasksvc": ("WORDCLOUDTASK", "http://localhost:6062"),
    "wordcloud-segsvc": ("WORDCLOUDSEG", "http://localhost:6063"),
    "wordcloud-makersvc": ("WORDCLOUDMAKER", "http://localhost:6064"),
}
LONGEST_CALL = 180.0
"""Seconds."""
# A 503 says that something behind the service is missing; its next member would miss it as well.
_POLICY = pydoudou.CallPolicy(deadline=LONGEST_CALL, attempts=3, retry_on={502, 504}, breaker=pydoudou.CircuitBreaker())
_PATIENCE = number("BIZ_PATIENCE", 30)
_AGAIN_AFTER = 0.5
_LONGEST_CONNECT = 3.0


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
        patient: whether a call waits while no member of the service can be reached, for `BIZ_PATIENCE` seconds: its
            only one may be on its way back.
    """

    def __init__(
        self, name: str, balancer: type = pydoudou.RoundRobin, *, repeatable: bool = False, patient: bool = False
    ) -> None:
        self._name = name
        self._passes_by: tuple[type[Exception], ...] = (httpx.ConnectError, httpx.ConnectTimeout)
        if repeatable:
            self._passes_by += (httpx.NetworkError, httpx.RemoteProtocolError)
        self._patience = _PATIENCE if patient else 0.0
        policy = _POLICY
        if repeatable:
            policy = policy.change(idempotent_methods=policy.idempotent_methods | {"POST"})
        transport = DiscoveryTransport(balancer=balancer, policy=policy)
        # Nothing answers at the address of a container that has ended: the others are waiting.
        timeout = httpx.Timeout(LONGEST_CALL, connect=_LONGEST_CONNECT)
        self._http = httpx.AsyncClient(transport=transport, base_url=f"http://{name}", timeout=timeout)

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
        again = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception_type(self._passes_by),
            stop=tenacity.stop_after_delay(self._patience),
            wait=tenacity.wait_fixed(_AGAIN_AFTER),
            reraise=True,
        )
        try:
            return await again(self._http.request, method, path, **options)
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
