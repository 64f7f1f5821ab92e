"""One connection to a Nacos server. Only this module and `sdk_…` know ``nacos-sdk-python``, and import it.

A `Session` lives on the loop of the SDK's thread, and is thrown away at the first sign that its connection is not what
it was. The SDK would connect again by itself, but then registers again only after up to 30 s, and takes a connection
that the server has evicted for a healthy one; a new session knows where it stands.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
from v2.nacos import DeregisterInstanceParam, ListServiceParam, RegisterInstanceParam

from ..kit.cancellation import others_cancellation_as
from ..kit.validation import escaped
from . import sdk_patches as sdk
from .errors import NacosFailed, NacosRefused, NacosUnavailable
from .instances import Listed, Registration, ServiceList
from .sdk_configuration import call_timeout, configuration, log_handler, writable_cache
from .sdk_errors import LOGIN_PATH, is_wrong_login, sorted_error
from .sdk_thread import owned_tasks
from .service_names import ServiceName
from .settings import GRPC_PORT_OFFSET, NacosSettings, Server

__all__ = ["OnList", "Session"]

sdk.apply()

T = TypeVar("T")

OnList = Callable[["Session", ServiceList], None]

_CLOSE_WITHIN = 0.7
_PAGE = 500
_MOST_PAGES = 100


class Session:
    """A client of the SDK, connected. All methods belong to the loop that it was opened on.

    Attributes:
        server: ``host:port`` of the server that it is connected to.
    """

    def __init__(self, settings: NacosSettings, on_list: OnList) -> None:
        self._settings = settings
        self._on_list = on_list
        self._tasks: set[asyncio.Task[Any]] = set()
        self._client: sdk.Client | None = None
        self._connection: object = None
        self._told: set[ServiceName] = set()
        self.server = ""

    @classmethod
    async def open(
        cls,
        settings: NacosSettings,
        servers: Sequence[Server],
        folder: Callable[[], Path],
        connect_within: float,
        on_list: OnList,
    ) -> Session:
        """Connect to one of `servers`, and log in.

        Args:
            folder: a folder to write to, made when it is asked for.
            connect_within: seconds for one attempt to connect, of which there are three.
            on_list: is called with everybody who offers a service that was subscribed, at every change.

        Raises:
            NacosUnavailable: nobody answers as a Nacos server does.
            NacosRefused: the credentials are wrong.
        """
        session = cls(settings, on_list)
        try:
            await session._open(servers, folder, connect_within)
        except BaseException:
            await session.close()
            raise
        return session

    async def _open(self, servers: Sequence[Server], folder: Callable[[], Path], connect_within: float) -> None:
        owned_tasks.set(self._tasks)
        settings = self._settings
        made = configuration(settings, servers, connect_within, folder)
        self._client = sdk.Client(
            made, log_handler(settings), self._service_changed, keep_cache=writable_cache(settings)
        )
        await _asked(sdk.start(self._client))
        if not await _asked(self._client.server_health()):
            raise NacosUnavailable(f"no connection to {_listed(servers)}")
        sdk.give_calls(self._client, call_timeout(settings))
        self._connection = found = sdk.connection(self._client)
        self.server = next((str(each) for each in servers if found and _is_at(each, found)), _listed(servers))
        if settings.username:
            await self._log_in()

    async def _log_in(self) -> None:
        """Find out now, and why, what the SDK would only call a failed request later."""
        client = self._running()
        try:
            if await sdk.current_access_token(client) is not None:
                return
        except Exception:
            sdk.sdk_log.debug("the login failed", exc_info=True)
        login = sdk.login_url(client)
        address = login.removesuffix(LOGIN_PATH)
        credentials = {"username": self._settings.username, "password": self._settings.password}
        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(self._settings.request_timeout)) as http,
                http.post(login, data=credentials, ssl=sdk.tls_context(client) or True) as answer,
            ):
                status, said = answer.status, escaped((await answer.content.read(500)).decode(errors="replace"), 200)
        except (aiohttp.ClientError, OSError) as error:
            raise NacosUnavailable(f"cannot log in at {address}: {type(error).__name__}") from None
        if status < 400:  # what it says may be the token
            raise NacosUnavailable(f"cannot log in at {address}: HTTP {status}, and no token")
        said = said.replace(self._settings.password, "***")
        if is_wrong_login(status, said):
            raise NacosRefused(
                f"the Nacos server at {address} does not let the user {self._settings.username!r} log in (HTTP "
                f"{status}: {said}): check GDD_NACOS_USERNAME and GDD_NACOS_PASSWORD"
            )
        raise NacosUnavailable(f"cannot log in at {address}: HTTP {status} {said}")

    def _running(self) -> sdk.Client:
        if self._client is None:
            raise NacosUnavailable("the session is closed")
        return self._client

    # -- the connection ------------------------------------------------------------------------------------------------

    async def healthy(self) -> bool:
        """Whether the connection is still the one that was opened, as far as the client knows; asks nobody."""
        client = self._client
        return (
            client is not None
            and await _asked(client.server_health())
            and client is self._client
            and sdk.connection(client) == self._connection
        )

    async def close(self) -> None:
        """Close the connection, whereby the server forgets what was registered; no task of the SDK is left."""
        client, self._client = self._client, None
        if client is not None and sdk.is_started(client):
            with contextlib.suppress(Exception):
                await asyncio.wait_for(_asked(client.shutdown()), _CLOSE_WITHIN)
        remaining = self._tasks - {asyncio.current_task()}
        for task in remaining:
            task.cancel()
        if remaining:
            await asyncio.wait(remaining, timeout=_CLOSE_WITHIN)
        if client is not None:
            client.closed()

    # -- what is registered and listed ---------------------------------------------------------------------------------
    #
    # Each of these raises NacosUnavailable if there is no answer, NacosRefused if the server does not want it, and
    # NacosFailed if the answer is a fault that may pass, or nonsense.

    async def register(self, registration: Registration) -> None:
        """Register, or replace what was registered for the service."""
        await _asked(
            self._running().register_instance(
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
        """Take it back."""
        await _asked(
            self._running().deregister_instance(
                DeregisterInstanceParam(
                    service_name=registration.service.name,
                    group_name=registration.service.group,
                    cluster_name=registration.cluster,
                    ip=registration.host,
                    port=registration.port,
                )
            )
        )

    async def subscribe(self, service: ServiceName) -> None:
        """Have `on_list` called with everybody who offers `service`, before this returns and at every change."""
        self._told.discard(service)
        await _asked(sdk.subscribe(self._running(), service.name, service.group))
        if service not in self._told:
            raise NacosFailed("an answer without a list")

    async def unsubscribe(self, service: ServiceName) -> None:
        """Have `on_list` not called any more."""
        self._told.discard(service)
        await _asked(sdk.unsubscribe(self._running(), service.name, service.group))

    async def query(self, service: ServiceName) -> ServiceList:
        """Ask the server, not what it told before, who offers `service`."""
        found = await _asked(sdk.query(self._running(), service.name, service.group))
        return _service_list(found, service) if found is not None else ServiceList(service)

    async def names(self, group: str) -> list[str]:
        """The names of all services of a group."""
        names: dict[str, None] = {}
        for page in range(1, _MOST_PAGES + 1):
            param = ListServiceParam(
                namespace_id=self._settings.namespace, group_name=group, page_no=page, page_size=_PAGE
            )
            found = await _asked(self._running().list_services(param))
            before = len(names)
            names |= dict.fromkeys(found.services)
            last = len(found.services) < _PAGE and len(names) >= found.count  # a server may have smaller pages
            if last or len(names) == before:
                break
        return list(names)

    async def configuration(self, data_id: str, group: str) -> str | None:
        """What the server keeps under this id; None for nothing."""
        return await _asked(sdk.query_configuration(self._running(), data_id, group, self._settings.namespace))

    def _service_changed(self, found: Any) -> None:
        listed = _service_list(found)
        self._told.add(listed.service)
        self._on_list(self, listed)


async def _asked(question: Awaitable[T]) -> T:
    """The answer, with whatever comes out of the SDK sorted into our errors. gRPC cancels what waits for an answer on a
    connection that is closed.
    """
    try:
        with others_cancellation_as(NacosUnavailable("the connection was closed meanwhile")):
            return await question
    except NacosUnavailable:
        raise
    except Exception as error:
        raise sorted_error(error) from error


def _listed(servers: Sequence[Server]) -> str:
    return ", ".join(map(str, servers))


def _is_at(server: Server, connection: tuple[str, str, int]) -> bool:
    return (server.host, server.port + GRPC_PORT_OFFSET) == connection[1:]


def _service_list(found: Any, service: ServiceName | None = None) -> ServiceList:
    group, marked, name = found.name.partition("@@")
    named = ServiceName(group, name) if marked else ServiceName(found.groupName, found.name)
    instances = tuple(map(_listed_instance, found.hosts))
    return ServiceList(service or named, instances, tuple(found.unreadable), max(0, found.lastRefTime))


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
        metadata={str(name): _text(value) for name, value in instance.metadata.items() if value is not None},
    )


def _text(value: Any) -> str:
    """A value of metadata, which are text in Nacos; clients write others all the same."""
    return value if isinstance(value, str) else json.dumps(value)
