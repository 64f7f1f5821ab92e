"""One connection to a Nacos server. Only this module and `taming` know ``nacos-sdk-python``, and import it.

A `Session` lives on the loop of an `SdkThread`, and is thrown away at the first sign that its connection is not what it
was. The SDK would connect again by itself, but then registers again only after up to 30 s, and takes a connection that
the server has evicted for a healthy one; a new session knows where it stands.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from v2.nacos import (
    DeregisterInstanceParam,
    ListServiceParam,
    NacosException,
    NacosNamingService,
    RegisterInstanceParam,
    SubscribeServiceParam,
)

from .errors import NacosRefused, NacosUnavailable
from .instances import Listed, Registration
from .sdk_patches import configuration, give_calls_their_time, quiet, sdk_log
from .sdk_thread import owned_tasks
from .service_names import ServiceName
from .settings import GRPC_PORT_OFFSET, NacosSettings, Server

__all__ = ["Session"]

T = TypeVar("T")

_CLOSE_WITHIN = 0.7
_PAGE = 500
_DENIED = (
    *("user not found", "unknown user", "authorization failed", "access denied", "no permission"),
    "validation error for servicelistresponse",  # what the SDK makes of a refusal to list services
)


class Session:
    """A client of the SDK, connected. All methods belong to the loop that it was opened on.

    Attributes:
        server: ``host:port`` of the server that it is connected to.
    """

    def __init__(self, settings: NacosSettings) -> None:
        self._settings = settings
        self._tasks: set[asyncio.Task[Any]] = set()
        self._handlers: list[logging.Handler] = []
        self._naming: NacosNamingService | None = None
        self._connection: object = None
        self.server = ""

    @classmethod
    async def open(
        cls, settings: NacosSettings, servers: Sequence[Server], folder: Path, connect_within: float
    ) -> Session:
        """Connect to one of `servers`, and log in.

        Args:
            folder: where the SDK may write.
            connect_within: seconds for one attempt to connect, of which there are three.

        Raises:
            NacosUnavailable: nobody answers as a Nacos server does.
            NacosRefused: the credentials are wrong.
        """
        session = cls(settings)
        try:
            await session._open(servers, folder, connect_within)
        except BaseException:
            await session.close()
            raise
        return session

    async def _open(self, servers: Sequence[Server], folder: Path, connect_within: float) -> None:
        owned_tasks.set(self._tasks)
        known_handlers = list(sdk_log.handlers)
        try:
            self._naming = NacosNamingService(configuration(self._settings, servers, folder, connect_within))
        finally:
            self._handlers = [handler for handler in sdk_log.handlers if handler not in known_handlers]
            quiet(self._settings, self._handlers)
        await _asked(self._naming.grpc_client_proxy.start())
        if not await self._naming.server_health():
            raise NacosUnavailable(f"no connection to {_listed(servers)}")
        give_calls_their_time(self._naming.client_config, self._settings)
        self._connection = self._current_connection()
        self.server = self._current_server(servers)
        if self._settings.username:
            await self._log_in()

    async def _log_in(self) -> None:
        """Find out now, and why, what the SDK would only call a failed request later."""
        naming, settings = self._service(), self._settings
        try:
            await naming.grpc_client_proxy.nacos_server_connector.auth_client.get_access_token(True)
            return
        except NacosException:
            address = naming.client_config.server_list[0]
        path = f"{address}{naming.client_config.build_context_prefix()}/v1/auth/users/login"
        credentials = {"username": settings.username, "password": settings.password}
        answer, error = await naming.http_agent.request(path, "POST", None, credentials, None)
        if answer is None and not isinstance(error, str):
            raise NacosUnavailable(f"cannot log in at {address}: {type(error).__name__}")
        if answer is None:
            raise NacosRefused(
                f"the Nacos server at {address} does not let the user {settings.username!r} log in ({error}): check "
                "GDD_NACOS_USERNAME and GDD_NACOS_PASSWORD"
            )

    def _service(self) -> NacosNamingService:
        if self._naming is None:
            raise NacosUnavailable("the session is closed")
        return self._naming

    # -- the connection ------------------------------------------------------------------------------------------------

    async def healthy(self) -> bool:
        """Whether the connection is still the one that was opened, as far as the client knows; asks nobody."""
        naming = self._naming
        return naming is not None and await naming.server_health() and self._current_connection() == self._connection

    def _client_connection(self) -> Any:
        """What the SDK is connected by at present, None if it does not tell."""
        client = getattr(self._service().grpc_client_proxy, "rpc_client", None)
        return getattr(client, "current_connection", None)

    def _current_connection(self) -> object:
        return getattr(self._client_connection(), "connection_id", None)

    def _current_server(self, servers: Sequence[Server]) -> str:
        server = getattr(self._client_connection(), "server_info", None)
        return next((str(each) for each in servers if _is_at(each, server)), _listed(servers))

    async def close(self) -> None:
        """Close the connection, whereby the server forgets what was registered; no task of the SDK is left."""
        naming, self._naming = self._naming, None
        if naming is not None and getattr(naming.grpc_client_proxy, "rpc_client", None) is not None:
            with contextlib.suppress(Exception):
                await asyncio.wait_for(naming.shutdown(), _CLOSE_WITHIN)
        remaining = self._tasks - {asyncio.current_task()}
        for task in remaining:
            task.cancel()
        if remaining:
            await asyncio.wait(remaining, timeout=_CLOSE_WITHIN)
        for handler in self._handlers:
            sdk_log.removeHandler(handler)
            handler.close()
        self._handlers = []

    # -- what is registered and listed ---------------------------------------------------------------------------------

    async def register(self, registration: Registration) -> None:
        """Register, or replace what was registered for the service.

        Raises:
            NacosUnavailable: no answer, or a passing fault.
            NacosRefused: the server does not want it.
        """
        await _asked(
            self._service().register_instance(
                RegisterInstanceParam(
                    service_name=registration.service.name,
                    group_name=registration.service.group,
                    cluster_name=registration.cluster,
                    ip=registration.host,
                    port=registration.port,
                    weight=registration.weight,
                    metadata=dict(registration.metadata),
                )
            )
        )

    async def deregister(self, registration: Registration) -> None:
        """Take it back.

        Raises:
            NacosUnavailable: no answer, or a passing fault.
            NacosRefused: the server does not want it.
        """
        await _asked(
            self._service().deregister_instance(
                DeregisterInstanceParam(
                    service_name=registration.service.name,
                    group_name=registration.service.group,
                    cluster_name=registration.cluster,
                    ip=registration.host,
                    port=registration.port,
                )
            )
        )

    async def subscribe(
        self, service: ServiceName, on_list: Callable[[Session, ServiceName, tuple[Listed, ...]], None]
    ) -> None:
        """Have `on_list` called with everybody who offers `service`, before this returns and at every change.

        Raises:
            NacosUnavailable: no answer, or a passing fault.
            NacosRefused: the server does not want it.
        """

        async def changed(instances: Sequence[Any]) -> None:
            on_list(self, service, tuple(map(_listed_instance, instances)))

        await _asked(
            self._service().subscribe(
                SubscribeServiceParam(service_name=service.name, group_name=service.group, subscribe_callback=changed)
            )
        )

    async def query(self, service: ServiceName) -> tuple[Listed, ...]:
        """Ask the server, not the client's cache, who offers `service`.

        Raises:
            NacosUnavailable: no answer, or a passing fault.
            NacosRefused: the server does not want it.
        """
        proxy = self._service().grpc_client_proxy
        found = await _asked(proxy.query_instance_of_service(service.name, service.group, "", False))
        return tuple(map(_listed_instance, found.hosts)) if found is not None else ()

    async def names(self, group: str) -> list[str]:
        """The names of all services of a group.

        Raises:
            NacosUnavailable: no answer, or a passing fault.
            NacosRefused: the server does not want it.
        """
        names: list[str] = []
        page = 1
        while True:
            param = ListServiceParam(
                namespace_id=self._settings.namespace, group_name=group, page_no=page, page_size=_PAGE
            )
            found = await _asked(self._service().list_services(param))
            names += found.services
            if len(found.services) < _PAGE or len(names) >= found.count:
                return names
            page += 1


async def _asked(question: Awaitable[T]) -> T:
    """The answer, with the SDK's one error sorted into those that pass and those that stay."""
    try:
        return await question
    except NacosException as error:
        text = str(error.message)
        denied = error.error_code in (400, 403) or any(words in text.lower() for words in _DENIED)
        raise (NacosRefused if denied else NacosUnavailable)(text or f"error {error.error_code}") from error
    except OSError as error:
        raise NacosUnavailable(str(error)) from error


def _listed(servers: Sequence[Server]) -> str:
    return ", ".join(map(str, servers))


def _is_at(server: Server, connected: Any) -> bool:
    host, port = getattr(connected, "server_ip", None), getattr(connected, "server_port", None)
    return server.host == host and str(port) == str(server.port + GRPC_PORT_OFFSET)


def _listed_instance(instance: Any) -> Listed:
    key = instance.instanceId or f"{instance.ip}#{instance.port}#{instance.clusterName}#{instance.serviceName}"
    return Listed(
        key=key,
        host=instance.ip,
        port=instance.port,
        weight=instance.weight,
        healthy=instance.healthy,
        enabled=instance.enabled,
        cluster=instance.clusterName or "DEFAULT",
        metadata={str(name): str(value) for name, value in (instance.metadata or {}).items()},
    )
