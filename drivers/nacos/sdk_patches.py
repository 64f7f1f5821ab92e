"""Everything about ``nacos-sdk-python`` that its documentation does not promise, in this one module.

`apply` checks that it is all there, and says so in one line; a release that lacks something is refused when it is
loaded, and not found out by a driver that sees nobody. A test does the same with the release that is installed.

What is changed for the whole process, once, and so for the application's own clients of the SDK too:

- Answers and pushes are read as `sdk_answers` says.
- The SDK's one use of the root logger, which in a program that has not set up logging writes to standard error, goes
  to the SDK's own logger.
- On a machine whose only address is loopback the SDK sends that along, instead of refusing to work.

What is changed in our own clients only:

- No files and no log handlers that nobody asked for.
- Lists come to us as they arrive. (The SDK would keep every list for ever, drop the second change within a millisecond,
  call back under its lock, and let a full disk keep a change from us.)
- A question that is answered with an error is answered. (The SDK would ask twice more, and then hold the connection for
  broken: until its next look no other question goes out.)
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import logging
import ssl
import threading
from collections.abc import Awaitable, Callable, Iterator
from importlib.metadata import version
from typing import Any

from v2.nacos import ClientConfig, NacosException, NacosNamingService
from v2.nacos.common.nacos_exception import SERVER_ERROR, UN_REGISTER
from v2.nacos.config.model.config_request import ConfigQueryRequest
from v2.nacos.config.model.config_response import ConfigQueryResponse
from v2.nacos.nacos_client import NacosClient
from v2.nacos.naming.cache.service_info_cache import ServiceInfoCache
from v2.nacos.naming.model.service import Service
from v2.nacos.naming.remote.naming_grpc_client_proxy import NamingGRPCClientProxy
from v2.nacos.transport import rpc_client as sdk_rpc_client
from v2.nacos.transport.auth_client import AuthClient
from v2.nacos.transport.connection import Connection
from v2.nacos.transport.grpc_connection import GrpcConnection
from v2.nacos.transport.grpc_util import GrpcUtils
from v2.nacos.transport.http_agent import HttpAgent
from v2.nacos.transport.model.internal_response import ErrorResponse
from v2.nacos.transport.model.server_info import ServerInfo
from v2.nacos.transport.nacos_server_connector import NacosServerConnector
from v2.nacos.transport.rpc_client import RpcClient
from v2.nacos.utils.common_util import get_current_time_millis
from v2.nacos.utils.net_util import NetUtils

from .sdk_answers import LENIENT
from .sdk_errors import LOGIN_PATH
from .sdk_signature import signed

__all__ = [
    "Client",
    "apply",
    "connection",
    "current_access_token",
    "give_calls",
    "is_started",
    "login_url",
    "missing",
    "query",
    "query_configuration",
    "sdk_log",
    "start",
    "subscribe",
    "tls_context",
    "unsubscribe",
]

logger = logging.getLogger(__name__)

DISTRIBUTION = "nacos-sdk-python"

sdk_log = logging.getLogger("naming")
"""The SDK's logger."""

_SUCCESS, _NO_SUCH_CONFIGURATION = 200, 300
OnService = Callable[[Any], None]


# -- what is expected --------------------------------------------------------------------------------------------------


def missing() -> list[str]:
    """What this release of the SDK lacks of what is used here and promised by nobody; empty if it is all there."""
    return [what for what, there in _expectations() if not there]


def _expectations() -> Iterator[tuple[str, bool]]:
    for owner, method, parameters in (
        (NamingGRPCClientProxy, "start", ()),
        (NamingGRPCClientProxy, "subscribe", ("service_name", "group_name", "clusters")),
        (NamingGRPCClientProxy, "unsubscribe", ("service_name", "group_name", "clusters")),
        (NamingGRPCClientProxy, "query_instance_of_service", ("service_name", "group_name", "clusters", "health_only")),
        (ServiceInfoCache, "process_service", ("service",)),
        (AuthClient, "get_access_token", ("force_refresh",)),
        (NacosServerConnector, "inject_security_info", ("headers",)),
        (RpcClient, "request", ("request", "timeout_millis")),
        (RpcClient, "is_running", ()),
        (GrpcConnection, "request", ("request", "timeout_millis")),
        (NacosClient, "init_log", ("client_config", "module")),
        (ClientConfig, "build_context_prefix", ()),
        (Connection, "get_connection_id", ()),
        (Connection, "get_server_info", ()),
        (ServerInfo, "get_server_ip", ()),
        (ServerInfo, "get_server_port", ()),
        (NetUtils, "get_local_ip", ()),
    ):
        yield f"{owner.__name__}.{method}({', '.join(parameters)})", _takes(getattr(owner, method, None), parameters)
    for owner, attribute in (
        (NacosNamingService, "grpc_client_proxy"),
        (NacosNamingService, "service_info_holder"),
        (NacosClient, "http_agent"),
        (NamingGRPCClientProxy, "rpc_client"),
        (NamingGRPCClientProxy, "nacos_server_connector"),
        (NacosServerConnector, "auth_client"),
        (RpcClient, "current_connection"),
        (RpcClient, "last_active_timestamp"),
        (HttpAgent, "ssl_context"),
        (ClientConfig, "grpc_config"),
        (ClientConfig, "server_list"),
        (NacosException, "error_code"),
        (NacosException, "message"),
    ):
        yield f"{owner.__name__}().{attribute}", attribute in owner.__init__.__code__.co_names
    for name, kind in LENIENT.items():
        there = GrpcUtils.remote_type.get(name)
        yield f"GrpcUtils.remote_type[{name!r}]", there is not None and issubclass(kind, there)
    for field in ("group", "dataId", "tenant"):
        yield f"ConfigQueryRequest.{field}", field in ConfigQueryRequest.model_fields
    yield "rpc_client.logging", hasattr(sdk_rpc_client, "logging")


def _takes(function: Any, parameters: tuple[str, ...]) -> bool:
    """Whether it can be called with these parameters, in this order, and with nothing else."""
    if not callable(function):
        return False
    try:
        named = [each for each in inspect.signature(function).parameters.values() if each.name != "self"]
    except (TypeError, ValueError):
        return False
    asked, rest = named[: len(parameters)], named[len(parameters) :]
    return tuple(each.name for each in asked) == parameters and all(
        each.default is not each.empty or each.kind in (each.VAR_POSITIONAL, each.VAR_KEYWORD) for each in rest
    )


_applying = threading.Lock()
applied = False
"""Whether `apply` has done it in this process; a test may say that it has not."""


def apply() -> None:
    """Check what is expected, and change what is changed for the whole process; once.

    Raises:
        ImportError: this release of the SDK lacks something.
    """
    global applied
    with _applying:
        if applied:
            return
        release = version(DISTRIBUTION)
        if lacking := missing():
            raise ImportError(
                f"{DISTRIBUTION} {release} lacks what this library uses of it ({'; '.join(lacking)}): "
                f"pip install '{DISTRIBUTION}>=3.2,<4'"
            )
        GrpcUtils.remote_type.update(LENIENT)
        sdk_rpc_client.logging = _InsteadOfRoot()
        _own_address_or_loopback()
        applied = True
        logger.debug("%s %s has all that is used of it, and is patched for this process", DISTRIBUTION, release)


# -- for the whole process ---------------------------------------------------------------------------------------------


class _InsteadOfRoot:
    """Stands for the module `logging` where the SDK logs through it, and has everything else of it."""

    debug = staticmethod(sdk_log.debug)
    info = staticmethod(sdk_log.info)
    warning = staticmethod(sdk_log.warning)
    error = staticmethod(sdk_log.error)
    exception = staticmethod(sdk_log.exception)

    def __getattr__(self, name: str) -> Any:
        return getattr(logging, name)


def _own_address_or_loopback() -> None:
    try:
        NetUtils.get_local_ip()
    except Exception:
        NetUtils.get_local_ip = staticmethod(lambda: "127.0.0.1")


# -- our own clients ---------------------------------------------------------------------------------------------------


class Client(NacosNamingService):  # type: ignore[misc]
    """A client that writes no file and logs nothing unless it was asked to, and hands on every list as it comes.

    Args:
        log_handler: what gets the SDK's log besides Python's logging; None for nothing.
        on_service: is called on the client's loop with each `Service` that the server tells of.
        keep_cache: whether the SDK's own cache is written as well, to the folder that the configuration names.
    """

    def __init__(
        self, config: ClientConfig, log_handler: logging.Handler | None, on_service: OnService, *, keep_cache: bool
    ) -> None:
        self._log_handler = log_handler
        super().__init__(config)
        cached = self.service_info_holder.process_service

        async def process_service(service: Service | None) -> None:
            if service is None:
                return
            on_service(service)
            if keep_cache:
                with contextlib.suppress(OSError):  # a full disk costs the cache, and the SDK has logged it
                    await cached(service)

        self.service_info_holder.process_service = process_service

    def init_log(self, client_config: ClientConfig, module: str) -> None:
        """Instead of the SDK's, which adds another file to a logger of the whole process for every client."""
        self.logger = sdk_log
        sdk_log.setLevel(client_config.log_level)
        if self._log_handler is not None:
            sdk_log.addHandler(self._log_handler)

    def closed(self) -> None:
        """Take off the log handler."""
        if self._log_handler is not None:
            sdk_log.removeHandler(self._log_handler)
            self._log_handler.close()


async def start(client: Client) -> None:
    """Connect; `Client.server_health` tells whether it worked."""
    await client.grpc_client_proxy.start()
    rpc_client = client.grpc_client_proxy.rpc_client
    rpc_client.request = functools.partial(_answered, rpc_client, rpc_client.request)


async def _answered(rpc_client: RpcClient, ask_again: Any, request: Any, timeout_millis: int) -> Any:
    """The answer to a request.

    Args:
        ask_again: the SDK's own way: three times, and after that the connection is made anew.

    Raises:
        NacosException: the answer is an error; or, as the SDK has it, there is none.
    """
    if (current := rpc_client.current_connection) is not None and rpc_client.is_running():
        answer = await current.request(request, timeout_millis)
        if isinstance(answer, ErrorResponse) and answer.get_error_code() != UN_REGISTER:
            raise NacosException(SERVER_ERROR, answer.get_message())
        if answer and not isinstance(answer, ErrorResponse):
            rpc_client.last_active_timestamp = get_current_time_millis()
            return answer
    return await ask_again(request, timeout_millis)


def give_calls(client: Client, milliseconds: int) -> None:
    """Let every call from now on take that long."""
    client.client_config.grpc_config.grpc_timeout = milliseconds


def login_url(client: Client) -> str:
    """Where the client logs in."""
    config = client.client_config
    return f"{config.server_list[0]}{config.build_context_prefix()}{LOGIN_PATH}"


def tls_context(client: Client) -> ssl.SSLContext | None:
    """What the client does TLS with where it logs in; None for plain HTTP."""
    context: ssl.SSLContext | None = client.http_agent.ssl_context
    return context


def is_started(client: Client) -> bool:
    """Whether there is anything to shut down."""
    return client.grpc_client_proxy.rpc_client is not None


def connection(client: Client) -> tuple[str, str, int] | None:
    """What the client is connected by at present: the connection's id, and the server's host and gRPC port."""
    rpc_client = client.grpc_client_proxy.rpc_client
    current = None if rpc_client is None else rpc_client.current_connection
    if current is None:
        return None
    server = current.get_server_info()
    return str(current.get_connection_id()), str(server.get_server_ip()), int(server.get_server_port())


def subscribe(client: Client, service: str, group: str) -> Awaitable[Any]:
    """Ask to be told of every change; the present list comes to `on_service` before this returns."""
    asked: Awaitable[Any] = client.grpc_client_proxy.subscribe(service, group, "")
    return asked


def unsubscribe(client: Client, service: str, group: str) -> Awaitable[Any]:
    """Ask not to be told any more."""
    asked: Awaitable[Any] = client.grpc_client_proxy.unsubscribe(service, group, "")
    return asked


def query(client: Client, service: str, group: str) -> Awaitable[Any]:
    """The server's own list, whatever the client has been told."""
    asked: Awaitable[Any] = client.grpc_client_proxy.query_instance_of_service(service, group, "", False)
    return asked


async def query_configuration(client: Client, data_id: str, group: str, namespace: str) -> str | None:
    """What the server keeps under this id; None for nothing. Asked over the connection that there is, for the SDK's own
    client for configuration writes whatever it was told to a file, in clear.

    Raises:
        NacosException: it failed.
    """
    request = ConfigQueryRequest(group=group, dataId=data_id, tenant="" if namespace == "public" else namespace)
    proxy, config = client.grpc_client_proxy, client.client_config
    await proxy.nacos_server_connector.inject_security_info(request.get_headers())
    credentials = config.credentials_provider.get_credentials()
    if credentials.get_access_key_id() and credentials.get_access_key_secret():
        resource = "+".join(part for part in (request.tenant, group) if part)
        request.put_all_headers(signed(credentials.get_access_key_id(), credentials.get_access_key_secret(), resource))
    answer = await proxy.rpc_client.request(request, config.grpc_config.grpc_timeout)
    if answer.get_error_code() == _NO_SUCH_CONFIGURATION:
        return None
    if answer.get_result_code() != _SUCCESS or not isinstance(answer, ConfigQueryResponse):
        raise NacosException(answer.get_error_code(), answer.get_message())
    return str(answer.content or "")


async def current_access_token(client: Client) -> str | None:
    """Log in anew, and keep the token for all calls; None if the server gives none.

    Raises:
        NacosException: it failed; the SDK does not say why.
        ValueError: an answer that is no JSON.
    """
    connector = client.grpc_client_proxy.nacos_server_connector
    token = await connector.auth_client.get_access_token(True)
    return str(token) if token else None
