"""Our services in a real Nacos server, next to those on the official Java and Go clients."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from support.certificates import self_signed
from support.doctor import looked
from support.http_members import HttpMember
from support.nacos import nacos_variables, on_nacos
from support.nacos_api import Listed
from support.nacos_peers import NacosPeer
from support.nacos_server import PASSWORD, USER, NacosServer, fresh_service
from support.waiting import eventually

from pydoudou import MetadataTooLarge, RegistrationError, RoundRobin
from pydoudou.contrib.httpx import DiscoveryTransport


@pytest.fixture(params=["java", "go"])
def peer(request: pytest.FixtureRequest, nacos: NacosServer, tmp_path: Path) -> Iterator[NacosPeer]:
    with NacosPeer(request.param, tmp_path / "peer", nacos.address) as peer:
        yield peer


def the_one(nacos: NacosServer, service: str, **place: str) -> Listed:
    """The only instance of a service, waited for."""
    eventually(lambda: len(nacos.api.instances(service, **place)) == 1)
    return nacos.api.instances(service, **place)[0]


# -- what is registered ------------------------------------------------------------------------------------------------


def test_a_service_stands_in_nacos_as_both_generations_of_go_doudou_register_it(nacos: NacosServer) -> None:
    service = fresh_service()
    variables = {"GDD_PORT": "7001", "GDD_WEIGHT": "3", "GDD_ROUTE_ROOT_PATH": "/v1"}
    with on_nacos(nacos.address, service, **variables) as registry:
        registry.update({"zone": "a"})
        for name in (service, f"{service}_rest"):
            listed = the_one(nacos, name)
            assert (listed.address, listed.weight, listed.cluster) == ("127.0.0.1:7001", 3.0, "DEFAULT")
            assert (listed.healthy, listed.enabled, listed.ephemeral) == (True, True, True)
            wanted = {"rootPath": "/v1", "weight": "3", "zone": "a"}
            assert wanted.items() <= listed.metadata.items()
            assert {"registerAt", "goVer", "gddVer", "buildUser", "buildTime"} <= set(listed.metadata)


@pytest.mark.parametrize(("compat", "suffixes"), [("v1", [""]), ("v2", ["_rest"])])
def test_one_generation_alone_finds_one_name(nacos: NacosServer, compat: str, suffixes: list[str]) -> None:
    service = fresh_service()
    with on_nacos(nacos.address, service, GDD_COMPAT=compat):
        eventually(lambda: [s for s in ("", "_rest") if nacos.api.instances(service + s)] == suffixes)


def test_a_service_in_a_group_and_cluster_of_its_own_is_found_there_and_taken_back_from_there(
    nacos: NacosServer,
) -> None:
    service = fresh_service()
    place = {"GDD_NACOS_GROUP_NAME": "SHOP", "GDD_NACOS_CLUSTER_NAME": "WEST"}
    with on_nacos(nacos.address, service, **place) as registry:
        assert the_one(nacos, service, group="SHOP", cluster="WEST").address == "127.0.0.1:6060"
        assert nacos.api.instances(service) == []
        with on_nacos(nacos.address) as stranger:
            eventually(lambda: stranger.members(f"SHOP@@{service}"))
            assert stranger.members(service) == ()
        registry.stop()
        eventually(lambda: nacos.api.instances(service, group="SHOP", cluster="WEST") == [])


def test_namespaces_do_not_see_each_other(nacos: NacosServer) -> None:
    service = fresh_service()
    with (
        on_nacos(nacos.address, service, GDD_NACOS_NAMESPACE_ID="west"),
        on_nacos(nacos.address, GDD_NACOS_NAMESPACE_ID="west") as inside,
        on_nacos(nacos.address) as outside,
    ):
        eventually(lambda: inside.members(service))
        assert outside.members(service) == ()


def test_leaving_takes_it_back_at_once_while_others_stay(nacos: NacosServer) -> None:
    service = fresh_service()
    with on_nacos(nacos.address, service, GDD_PORT="7001") as leaves, on_nacos(nacos.address, service, GDD_PORT="7002"):
        eventually(lambda: len(nacos.api.instances(service)) == 2)
        leaves.stop()
        eventually(lambda: [listed.port for listed in nacos.api.instances(service)] == [7002])


def test_two_workers_behind_one_address_are_one_member_until_the_last_one_leaves(nacos: NacosServer) -> None:
    service = fresh_service()
    with (
        on_nacos(nacos.address) as looker,
        on_nacos(nacos.address, service, GDD_PORT="7001"),
        on_nacos(nacos.address, service, GDD_PORT="7001") as second,
    ):
        eventually(lambda: len(looker.members(service)) == 1)
        events = looker.watch(service)
        second.stop()
        other = fresh_service()
        with on_nacos(nacos.address, other), looker.watch(other) as later:
            next(later)  # pushes of a later change have arrived
        assert len(looker.members(service)) == 1
        events.close()


def test_metadata_that_nacos_would_refuse_is_an_error_and_the_old_stays(nacos: NacosServer) -> None:
    service = fresh_service()
    with on_nacos(nacos.address, service) as registry:
        registry.update({"zone": "a"})
        with pytest.raises(MetadataTooLarge, match="1024"):
            registry.update({"zone": "x" * 2000})
        assert the_one(nacos, service).metadata["zone"] == "a"


def test_an_instance_that_an_operator_switched_off_is_withdrawn_and_stays_so(nacos: NacosServer) -> None:
    service = fresh_service()
    quick = {"GDD_NACOS_CHECK_INTERVAL": "300ms"}
    with on_nacos(nacos.address, service, **quick) as registry, on_nacos(nacos.address) as looker:
        eventually(lambda: looker.members(service))
        for name in (service, f"{service}_rest"):
            listed = the_one(nacos, name)
            nacos.api.update(name, Listed(**{**vars_of(listed), "enabled": False}))
        eventually(lambda: not looker.members(service))
        eventually(lambda: "disabled in the console" in registry.status().backends[0].driver.message)
        assert not registry.status().ready
        assert looker.members(service) == ()
        for name in (service, f"{service}_rest"):
            nacos.api.update(name, the_one_enabled(nacos, name))
        eventually(lambda: looker.members(service))
        eventually(lambda: registry.status().ready)


def vars_of(listed: Listed) -> dict[str, object]:
    return {name: getattr(listed, name) for name in Listed.__slots__ if not name.startswith("_")}


def the_one_enabled(nacos: NacosServer, service: str) -> Listed:
    return Listed(**{**vars_of(the_one(nacos, service)), "enabled": True})  # type: ignore[arg-type]


def test_a_weight_that_an_operator_sets_is_the_one_that_counts(nacos: NacosServer) -> None:
    service = fresh_service()
    with on_nacos(nacos.address, service), on_nacos(nacos.address) as looker:
        for name in (service, f"{service}_rest"):
            nacos.api.update(name, Listed(**{**vars_of(the_one(nacos, name)), "weight": 7.0}))  # type: ignore[arg-type]
        eventually(lambda: [member.weight for member in looker.members(service)] == [7.0])


def test_all_services_are_there_for_those_who_look_at_all(nacos: NacosServer) -> None:
    first, second = fresh_service(), fresh_service()
    quick = {"GDD_NACOS_CHECK_INTERVAL": "300ms"}
    with on_nacos(nacos.address, first), on_nacos(nacos.address, **quick) as looker:
        eventually(lambda: first in {member.service for member in looker.members()})
        with on_nacos(nacos.address, second):
            eventually(lambda: second in {member.service for member in looker.members()})


# -- others ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["", "_rest"])
def test_a_service_on_another_client_is_found_and_called_and_a_change_of_it_is_seen(
    suffix: str, nacos: NacosServer, peer: NacosPeer, record_property: Callable[[str, object], None]
) -> None:
    """With ``_rest`` it looks like one of go-doudou v2, without like one of v1, of Java or of Go."""
    service = fresh_service()
    name = service + suffix
    with HttpMember("theirs") as server, on_nacos(nacos.address) as looker, looker.watch(service) as events:
        address = f"127.0.0.1:{server.port}"
        began = peer.register(name, address, weight=2.5, metadata={"rootPath": "/api", "zone": "b"})
        member = next(events).member
        appeared = time.time() - began
        assert (member.address, member.weight, dict(member.data)) == (address, 2.5, {"zone": "b"})
        transport = DiscoveryTransport(services={"theirs": service}, balancer=lambda name: RoundRobin(name, looker))
        with httpx.Client(transport=transport) as client:
            assert client.get("http://theirs/items").json()["path"] == "/api/items"
        began = peer.update(name, address, weight=4.0, metadata={"zone": "c"})
        event = next(events)
        changed = time.time() - began
        assert (event.member.weight, dict(event.member.data)) == (4.0, {"zone": "c"})
        began = peer.deregister(name, address)
        assert next(events).kind.value == "left"
        gone = time.time() - began
    record_property(
        "figures",
        f"{peer.name} seen by ours: registered {appeared:.2f} s, changed {changed:.2f} s, gone {gone:.2f} s",
    )
    assert max(appeared, changed, gone) < 2.0


def test_our_service_is_seen_by_another_client_with_weight_and_metadata(
    nacos: NacosServer, peer: NacosPeer, record_property: Callable[[str, object], None]
) -> None:
    service = fresh_service()
    peer.subscribe(service)
    variables = {"GDD_PORT": "7001", "GDD_WEIGHT": "3", "GDD_ROUTE_ROOT_PATH": "/v1"}
    registry = on_nacos(nacos.address, service, **variables)
    began = time.time()
    registry.start({"zone": "a"})
    with registry:
        change = peer.wait_for(service, lambda change: change.addresses == {"127.0.0.1:7001"}, since=began)
        appeared = change.at - began
        (listed,) = change.instances
        assert listed.weight == 3.0
        assert {"rootPath": "/v1", "weight": "3", "zone": "a"}.items() <= listed.metadata.items()
        began = time.time()
        registry.update({"zone": "b"})
        change = peer.wait_for(service, lambda change: change.instances[0].metadata["zone"] == "b", since=began)
        changed = change.at - began
    left = time.time()
    gone = peer.wait_for(service, lambda change: not change.instances, since=began).at - left
    record_property(
        "figures",
        f"ours seen by {peer.name}: registered {appeared:.2f} s after start, changed {changed:.2f} s, "
        f"gone {gone:.2f} s after stop",
    )
    assert max(changed, gone) < 2.0
    assert peer.list(service) == ()


# -- credentials -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NacosServer]:
    with NacosServer(tmp_path_factory.mktemp("guarded") / "home", auth=True) as server:
        yield server


def test_with_the_right_password_it_works(guarded: NacosServer) -> None:
    service = fresh_service()
    credentials = {"GDD_NACOS_USERNAME": USER, "GDD_NACOS_PASSWORD": PASSWORD}
    with on_nacos(guarded.address, service, **credentials) as registry:
        eventually(lambda: registry.members(service))


@pytest.mark.timeout(120)
def test_with_the_right_password_it_is_registered_again_after_a_restart(guarded: NacosServer) -> None:
    service = fresh_service()
    credentials = {"GDD_NACOS_USERNAME": USER, "GDD_NACOS_PASSWORD": PASSWORD}
    with on_nacos(guarded.address, service, **credentials) as registry:
        eventually(lambda: registry.members(service))
        guarded.kill()
        eventually(lambda: not registry.status().backends[0].judging)
        guarded.start()
        eventually(lambda: guarded.api.instances(service) and registry.status().ready, timeout=15)


def test_a_wrong_password_is_an_error_at_once_that_names_the_user_and_never_the_password(
    guarded: NacosServer, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    credentials = {"GDD_NACOS_USERNAME": USER, "GDD_NACOS_PASSWORD": "hunter2", "GDD_NACOS_LOG_LEVEL": "debug"}
    began = time.monotonic()
    with pytest.raises(RegistrationError, match=f"'{USER}'.*GDD_NACOS_PASSWORD") as caught:
        on_nacos(guarded.address, fresh_service(), **credentials).start()
    assert time.monotonic() - began < 5
    output = capfd.readouterr()
    assert "hunter2" not in f"{caught.value}{caplog.text}{output.out}{output.err}"


@pytest.mark.parametrize("service", ["", "orders"])
def test_no_credentials_where_some_are_needed_is_an_error_too(guarded: NacosServer, service: str) -> None:
    with pytest.raises(RegistrationError, match=r"(?i)user|access|author"):
        on_nacos(guarded.address, service).start()


@pytest.mark.parametrize(
    ("user", "password", "kinds"),
    [(USER, PASSWORD, []), (USER, "hunter2", ["nacos-login"]), ("", "", ["nacos-login"])],
    ids=["the right one", "a wrong password", "none"],
)
def test_a_doctor_tells_which_login_will_do(guarded: NacosServer, user: str, password: str, kinds: list[str]) -> None:
    credentials = {"GDD_NACOS_USERNAME": user, "GDD_NACOS_PASSWORD": password}
    found = looked(**nacos_variables(guarded.address, fresh_service(), **credentials))
    assert [finding.kind for finding in found] == kinds
    assert all("GDD_NACOS_PASSWORD" in finding.remedy for finding in found)
    assert "hunter2" not in str(found)


def test_a_doctor_tells_whether_a_user_may_write_only_when_it_is_told_to_try(guarded: NacosServer) -> None:
    guarded.api.make_reader("reader", "Reader-1")
    credentials = {"GDD_NACOS_USERNAME": "reader", "GDD_NACOS_PASSWORD": "Reader-1"}
    mine = nacos_variables(guarded.address, fresh_service(), **credentials)
    assert looked(**mine) == []
    (finding,) = looked(writes=True, **mine)
    assert finding.kind == "nacos-write"
    assert "'reader' read, and not register" in finding.problem
    owner = {"GDD_NACOS_USERNAME": USER, "GDD_NACOS_PASSWORD": PASSWORD}
    assert looked(writes=True, **mine | owner) == []
    tried = [name for name in guarded.api.services() if name.startswith("pydoudou-doctor-")]
    assert all(guarded.api.instances(name) == [] for name in tried), "what was registered is taken back"


def test_the_access_token_is_not_in_the_sdks_log(guarded: NacosServer, tmp_path: Path) -> None:
    credentials = {"GDD_NACOS_USERNAME": USER, "GDD_NACOS_PASSWORD": PASSWORD}
    log = {"GDD_NACOS_LOG_DIR": str(tmp_path), "GDD_NACOS_LOG_LEVEL": "debug"}
    with on_nacos(guarded.address, fresh_service(), **credentials, **log):
        pass
    text = (tmp_path / "naming.log").read_text()
    assert "AccessToken: ***" in text
    assert "eyJ" not in text
    assert PASSWORD not in text


# -- what the SDK leaves behind ----------------------------------------------------------------------------------------


def test_nothing_is_written_to_the_home_or_working_directory(
    nacos: NacosServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, working, temporary = tmp_path / "home", tmp_path / "working", tmp_path / "temporary"
    for folder in (home, working, temporary):
        folder.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    monkeypatch.chdir(working)
    with on_nacos(nacos.address, fresh_service()) as registry:
        eventually(lambda: registry.members())
    assert [list(folder.iterdir()) for folder in (home, working, temporary)] == [[], [], []]


def test_the_sdk_logs_nothing_unless_asked(nacos: NacosServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with on_nacos(nacos.address, fresh_service()):
        pass
    assert [record for record in caplog.records if record.name == "naming"] == []
    assert logging.getLogger("naming").handlers == []


def test_tls_needs_only_the_servers_authority(tmp_path: Path, start_nacos: Callable[..., NacosServer]) -> None:
    """The SDK alone insists on a client certificate too."""
    both = self_signed("localhost", tmp_path / "both.pem")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    text = both.read_text()
    divide = text.index("-----BEGIN CERTIFICATE")
    key.write_text(text[:divide])
    certificate.write_text(text[divide:])
    prefix = "nacos.remote.server.rpc.tls"
    server = start_nacos(
        properties={
            f"{prefix}.enableTls": "true",
            f"{prefix}.certChainFile": certificate.as_uri(),
            f"{prefix}.certPrivateKey": key.as_uri(),
            f"{prefix}.compatibility": "false",
        }
    )
    service = fresh_service()
    address = f"localhost:{server.port}"
    with on_nacos(address, service, GDD_NACOS_TLS_CA_FILE=str(certificate)) as registry:
        eventually(lambda: registry.members(service), timeout=10)
    with on_nacos(address, service) as plain:
        assert not plain.status().ready
