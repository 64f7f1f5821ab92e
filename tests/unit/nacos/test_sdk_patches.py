"""What we use of the SDK and nobody promises: all there in the release that is installed, and read as it should be."""

from __future__ import annotations

import asyncio
import json
import logging
from importlib.metadata import version
from typing import Any

import pytest

sdk = pytest.importorskip("pydoudou.drivers.nacos.sdk_patches")

import grpc
from v2.nacos import ClientConfig, NacosException
from v2.nacos.naming.model.naming_request import NotifySubscriberRequest
from v2.nacos.naming.remote.naming_grpc_client_proxy import NamingGRPCClientProxy
from v2.nacos.transport import rpc_client as sdk_rpc_client
from v2.nacos.transport.grpc_util import GrpcUtils
from v2.nacos.transport.grpcauto.nacos_grpc_service_pb2 import Payload

from pydoudou.drivers.nacos.errors import NacosFailed, NacosRefused, NacosUnavailable
from pydoudou.drivers.nacos.sdk_errors import is_wrong_login, sorted_error

sdk.apply()


def test_the_release_that_is_installed_has_all_that_is_used_of_it() -> None:
    assert sdk.missing() == []


def test_what_a_release_lacks_or_takes_otherwise_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    async def subscribe(self: object, service_name: str, group_name: str, clusters: str, selector: object) -> None: ...

    monkeypatch.setattr(NamingGRPCClientProxy, "subscribe", subscribe)
    monkeypatch.delattr(NamingGRPCClientProxy, "query_instance_of_service")
    monkeypatch.delitem(GrpcUtils.remote_type, "ErrorResponse")
    assert sdk.missing() == [
        "NamingGRPCClientProxy.subscribe(service_name, group_name, clusters)",
        "NamingGRPCClientProxy.query_instance_of_service(service_name, group_name, clusters, health_only)",
        "GrpcUtils.remote_type['ErrorResponse']",
    ]


def test_a_release_that_lacks_something_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sdk, "applied", False)
    monkeypatch.delattr(NamingGRPCClientProxy, "start")
    with pytest.raises(
        ImportError, match=rf"{version('nacos-sdk-python')} lacks .*NamingGRPCClientProxy.start"
    ) as caught:
        sdk.apply()
    assert "\n" not in str(caught.value)


def test_what_is_patched_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(sdk, "applied", False)
    with caplog.at_level(logging.DEBUG, "pydoudou.drivers.nacos"):
        sdk.apply()
        sdk.apply()
    assert [record.getMessage() for record in caplog.records] == [
        f"nacos-sdk-python {version('nacos-sdk-python')} has all that is used of it, and is patched for this process"
    ]


# -- what is read ------------------------------------------------------------------------------------------------------


def parsed(kind: str, **body: Any) -> Any:
    """What the SDK makes of a message from the server."""
    payload = Payload()
    payload.metadata.type = kind
    payload.body.value = json.dumps(body).encode()
    return GrpcUtils.parse(payload)


GOOD = {"ip": "10.0.0.1", "port": 1}


@pytest.mark.parametrize("kind", ["QueryServiceResponse", "SubscribeServiceResponse", "NotifySubscriberRequest"])
def test_an_instance_that_cannot_be_read_hides_no_other(kind: str) -> None:
    hosts = [GOOD, {"ip": "10.0.0.2"}, "nonsense", {**GOOD, "port": "x\x1b"}, None, {**GOOD, "metadata": [1]}]
    found = parsed(kind, serviceInfo={"name": "orders", "groupName": "G", "hosts": hosts}).serviceInfo
    assert [(host.ip, host.port) for host in found.hosts] == [("10.0.0.1", 1)]
    assert len(found.unreadable) == 5
    assert all(reason.isprintable() for reason in found.unreadable)
    assert isinstance(parsed("NotifySubscriberRequest", serviceInfo=None), NotifySubscriberRequest)


def test_what_need_not_be_there_may_be_null_and_nothing_else() -> None:
    host = {**GOOD, "metadata": None, "clusterName": None, "instanceId": None, "ephemeral": None}
    (found,) = parsed(
        "QueryServiceResponse", serviceInfo={"name": "orders", "groupName": "G", "hosts": [host]}
    ).serviceInfo.hosts
    assert (found.weight, found.metadata, found.clusterName) == (1.0, {}, "")
    hosts = [{**GOOD, name: None} for name in ("ip", "port", "weight", "healthy", "enabled")]
    none = parsed("QueryServiceResponse", serviceInfo={"name": "orders", "groupName": "G", "hosts": hosts}).serviceInfo
    assert (none.hosts, len(none.unreadable)) == ([], 5)
    nobody = parsed("QueryServiceResponse", serviceInfo={"name": "orders", "groupName": "G", "hosts": None}).serviceInfo
    assert nobody.hosts == []


@pytest.mark.parametrize("value", [None, "yesterday", [], {}, 1.5, float("inf")], ids=repr)
def test_what_is_not_needed_of_a_service_hides_no_instance(value: object) -> None:
    others = dict.fromkeys(("cacheMillis", "lastRefTime", "checksum", "allIps", "reachProtectionThreshold"), value)
    found = parsed("QueryServiceResponse", serviceInfo={"name": "o", "groupName": "G", "hosts": [GOOD]} | others)
    assert [host.ip for host in found.serviceInfo.hosts] == ["10.0.0.1"]
    assert found.serviceInfo.lastRefTime == (1 if value == 1.5 else 0)


def test_what_can_be_read_of_a_service_is_kept_for_other_clients_of_the_sdk() -> None:
    fields = {"cacheMillis": 5, "lastRefTime": 7, "checksum": "x", "reachProtectionThreshold": True}
    found = parsed("QueryServiceResponse", serviceInfo={"name": "o", "groupName": "G", "hosts": [GOOD]} | fields)
    assert {name: getattr(found.serviceInfo, name) for name in fields} == fields


def test_a_name_that_is_none_hides_no_other_service() -> None:
    assert parsed("ServiceListResponse", count=3, serviceNames=["a", None, 5]).serviceNames == ["a"]


def test_a_refusal_to_list_services_is_read_as_one() -> None:
    refusal = parsed("ServiceListResponse", resultCode=500, errorCode=403, message="no right")
    assert (refusal.get_result_code(), refusal.get_error_code(), refusal.serviceNames) == (500, 403, [])


# -- errors ------------------------------------------------------------------------------------------------------------


def error_answer(code: int, text: str) -> NacosException:
    """What the SDK raises for an error answer of the server, whose code it drops."""
    return NacosException(500, parsed("ErrorResponse", resultCode=500, errorCode=code, message=text).get_message())


def while_reading(cause: Exception) -> NacosException:
    """What the SDK raises for whatever went wrong while it fetched or read an answer."""
    try:
        try:
            raise cause
        except Exception as error:
            raise NacosException(500, f"Request nacos naming server failed: {error}")  # noqa: B904 - as it does
    except NacosException as error:
        return error


class GrpcError(grpc.aio.AioRpcError):  # type: ignore[misc]
    def __init__(self, code: grpc.StatusCode) -> None:
        super().__init__(code, grpc.aio.Metadata(), grpc.aio.Metadata(), "details\n")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (error_answer(400, "illegal name"), NacosRefused),
        (error_answer(403, "no right"), NacosRefused),
        (error_answer(500, "user not found!"), NacosRefused),
        (error_answer(500, "server is DOWN now"), NacosFailed),
        (error_answer(503, "over threshold"), NacosFailed),
        (NacosException(400, "Instance 'ip' can not be empty."), NacosRefused),
        (NacosException(500, "get access token failed"), NacosFailed),
        (NacosException(-401, "client not connected"), NacosUnavailable),
        (while_reading(GrpcError(grpc.StatusCode.UNAVAILABLE)), NacosUnavailable),
        (while_reading(GrpcError(grpc.StatusCode.DEADLINE_EXCEEDED)), NacosUnavailable),
        (while_reading(ConnectionResetError("reset")), NacosUnavailable),
        (while_reading(ValueError("validation error: user not found")), NacosFailed),
        (OSError("no route"), NacosUnavailable),
        (KeyError("accessToken"), NacosFailed),
    ],
)
def test_errors_are_sorted_by_what_may_be_done_about_them(error: Exception, kind: type[Exception]) -> None:
    found = sorted_error(error)
    assert type(found) is kind
    assert str(found).isprintable()


SPRING = '{"timestamp":"2026-11-27","status":%d,"error":"%s","path":"/nacos/v1/auth/users/login"}'


@pytest.mark.parametrize(
    ("status", "said", "wrong"),
    [
        (403, "unknown user!", True),
        (401, "", True),
        (500, "User nacos not found", True),
        (500, "caused: user not found!;", True),
        (400, "[LDAP: error code 49 - Invalid Credentials]", True),
        (500, SPRING % (500, "unknown user!"), True),
        (500, SPRING % (500, "Internal Server Error"), True),  # Nacos 3.1: there is nothing else to know it by
        (500, SPRING.replace("auth/users/login", "") % (500, "Internal Server Error"), False),
        (404, SPRING % (404, "Not Found"), False),
        (503, SPRING % (503, "Service Unavailable"), False),
        (503, "the user service is STARTING", False),
        (502, "unauthorized upstream", False),
        (429, "user not found so often: slow down", False),
        (500, "Access denied for user 'nacos'@'db' (using password: YES)", False),
        (500, "Table 'nacos.users' doesn't exist", False),
    ],
)
def test_a_login_is_wrong_only_where_somebody_has_looked_at_it(status: int, said: str, wrong: bool) -> None:
    assert is_wrong_login(status, said) is wrong


def test_the_servers_words_cannot_harm_a_log() -> None:
    assert str(sorted_error(error_answer(400, "a\r\nb\x1b[2J\ud800"))) == r"a\r\nb\x1b[2J\ud800"
    assert len(str(sorted_error(error_answer(400, "x" * 10_000)))) < 600


# -- what it does not do -----------------------------------------------------------------------------------------------


def test_the_module_that_stands_for_logging_in_the_sdk_has_all_of_it(caplog: pytest.LogCaptureFixture) -> None:
    stands_in = sdk_rpc_client.logging
    assert stands_in.INFO == logging.INFO
    assert stands_in.getLogger("x") is logging.getLogger("x")
    sdk.sdk_log.setLevel(logging.WARNING)
    stands_in.error("once through the root logger")
    assert [record.name for record in caplog.records] == ["naming"]


def test_a_client_makes_no_folders_and_no_handlers(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    config = ClientConfig(server_addresses="http://127.0.0.1:1").set_load_cache_at_start(False)

    async def main() -> None:
        client = sdk.Client(config, None, print, keep_cache=False)
        assert not sdk.is_started(client)
        assert sdk.connection(client) is None

    asyncio.run(main())
    assert list(tmp_path.iterdir()) == []
    assert sdk.sdk_log.handlers == []
