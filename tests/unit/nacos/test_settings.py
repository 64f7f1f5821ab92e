"""The ``GDD_NACOS_*`` variables: go-doudou's names and defaults, and errors where it panics or is silent."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from pydoudou import Settings
from pydoudou.drivers.environment import Environment
from pydoudou.drivers.errors import SettingsError
from pydoudou.drivers.members import JoinPolicy
from pydoudou.drivers.nacos.settings import LogLevel, NacosSettings, Server, TlsFiles, read_settings


def settings(**variables: str) -> NacosSettings:
    environment = Environment({"GDD_NACOS_SERVER_ADDR": "http://10.0.0.1:8848/nacos"} | variables)
    read = read_settings(environment)
    environment.check()
    return read


def complaint(**variables: str) -> str:
    with pytest.raises(SettingsError) as caught:
        settings(**variables)
    return str(caught.value)


def test_the_defaults_are_go_doudous() -> None:
    read = settings()
    assert (read.namespace, read.group, read.cluster) == ("public", "DEFAULT_GROUP", "DEFAULT")
    assert (read.request_timeout, read.scheme, read.context_path) == (10.0, "http", "/nacos")
    assert (read.join, read.check_interval, read.tls) == (JoinPolicy.RETRY, 3.0, None)


def test_nothing_is_written_and_logged_unless_it_is_asked_for() -> None:
    assert (settings().log_dir, settings().cache_dir, settings().log_level) == (None, None, None)
    assert settings(GDD_NACOS_LOG_DIR="/logs").log_level is LogLevel.WARN
    assert settings(GDD_NACOS_LOG_LEVEL="info").log_level is LogLevel.INFO
    assert settings(GDD_NACOS_LOG_LEVEL="info", GDD_NACOS_LOG_DISCARD="true").log_level is None


@pytest.mark.parametrize(
    ("addresses", "servers"),
    [
        ("http://10.0.0.1:8848/nacos", [Server("10.0.0.1", 8848)]),
        (" 10.0.0.1:8848 , 10.0.0.2:8849 ", [Server("10.0.0.1", 8848), Server("10.0.0.2", 8849)]),
        ("nacos", [Server("nacos", 8848)]),
        ("http-nacos:8000", [Server("http-nacos", 8000)]),
        ("http://nacos", [Server("nacos", 8848)]),
        ("nacos,http://nacos:8848", [Server("nacos", 8848)]),
    ],
)
def test_servers_are_accepted_as_urls_and_as_addresses(addresses: str, servers: list[Server]) -> None:
    assert list(settings(GDD_NACOS_SERVER_ADDR=addresses).servers) == servers


@pytest.mark.parametrize(
    ("addresses", "fault"),
    [
        ("", "is not set|is ''"),
        ("ftp://10.0.0.1", "is none"),
        ("http://:8848", "is none"),
        ("http://10.0.0.1:99999", "Port out of range"),
        ("10.0.0.1:65000", "ports up to 64535"),
        ("http://[fd00::1]:8848", "IPv6"),
        ("http://10.0.0.1:0", "is none"),
        ("a\0b:8848", "is none"),
        ("a\nb:8848", "is none"),
        ("a b", "is none"),
        ("10.0.0.256", "is none"),
        ("http://user:hunter2@10.0.0.1", "without a user"),
        ("http://:hunter2@10.0.0.1", "without a user"),
        ("http://a/nacos,http://b/other", "the same context path"),
        ("http://a,https://b", "the same scheme"),
        ("10.0.0.1:8848;10.0.0.2:8848", "Port could not be cast"),
        ("10.0.0.1;10.0.0.2", "is none"),
        ("http://a:8848/nacos;http://b:8848/nacos", "is none"),
        ("http://a:8848/nacos http://b:8848/nacos", "is none"),
        ("'10.0.0.1'", "is none"),
        ("${NACOS}", "is none"),
        ("$(NACOS):8848", "is none"),
        ("a..b:8848", "is none"),
    ],
)
def test_a_bad_server_is_named_with_its_fault(addresses: str, fault: str) -> None:
    with pytest.raises(SettingsError, match=fault) as caught:
        settings(GDD_NACOS_SERVER_ADDR=addresses)
    assert "GDD_NACOS_SERVER_ADDR" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_bare_number_counts_milliseconds_for_the_timeout_and_seconds_for_the_interval() -> None:
    read = settings(GDD_NACOS_TIMEOUT_MS="500", GDD_NACOS_CHECK_INTERVAL="5")
    assert (read.request_timeout, read.check_interval) == (0.5, 5.0)


def test_a_user_needs_a_password_and_no_secret_is_ever_shown() -> None:
    assert "GDD_NACOS_PASSWORD is not set" in complaint(GDD_NACOS_USERNAME="ops")
    assert "hunter2" not in complaint(GDD_NACOS_PASSWORD="hunter2")
    assert "topsecret" not in complaint(GDD_NACOS_SECRET_KEY="topsecret")
    read = settings(
        GDD_NACOS_USERNAME="ops",
        GDD_NACOS_PASSWORD="hunter2",
        GDD_NACOS_ACCESS_KEY="a",
        GDD_NACOS_SECRET_KEY="topsecret",
    )
    assert (read.username, read.access_key) == ("ops", "a")
    assert "hunter2" not in repr(read)
    assert "topsecret" not in repr(read)


def test_tls_is_on_with_https_with_a_file_or_when_it_is_said(tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    ca.touch()
    assert settings(GDD_NACOS_SERVER_ADDR="https://a:8848/nacos").tls == TlsFiles()
    assert settings(GDD_NACOS_TLS_CA_FILE=str(ca)).tls == TlsFiles(ca=str(ca))
    assert settings(GDD_NACOS_TLS="true").tls == TlsFiles()
    assert settings(GDD_NACOS_SERVER_ADDR="https://a:8848/nacos", GDD_NACOS_TLS="false").tls is None


def test_a_file_that_is_not_there_and_half_a_client_certificate_are_errors(tmp_path: Path) -> None:
    certificate = tmp_path / "client.pem"
    certificate.touch()
    assert "GDD_NACOS_TLS_CA_FILE is '/nowhere'" in complaint(GDD_NACOS_TLS_CA_FILE="/nowhere")
    assert "GDD_NACOS_TLS_KEY_FILE is not set" in complaint(GDD_NACOS_TLS_CERT_FILE=str(certificate))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("GDD_NACOS_NAMESPACE_ID", "a b"),
        ("GDD_NACOS_GROUP_NAME", "a@@b"),
        ("GDD_NACOS_CLUSTER_NAME", "a/b"),
        ("GDD_NACOS_TIMEOUT_MS", "0"),
        ("GDD_NACOS_JOIN", "perhaps"),
        ("GDD_NACOS_LOG_LEVEL", "loud"),
        ("GDD_NACOS_LOG_DISCARD", "maybe"),
        ("GDD_NACOS_NOTLOADCACHEATSTART", "maybe"),
        ("GDD_NACOS_NOT_LOAD_CACHE_AT_START", "maybe"),
        ("GDD_NACOS_TLS", "maybe"),
        ("GDD_NACOS_CHECK_INTERVAL", "-1"),
    ],
)
def test_a_bad_value_is_named(name: str, value: str) -> None:
    assert f"{name} is {value!r}" in complaint(**{name: value})


def test_bad_variables_of_both_backends_are_reported_together_before_anything_starts() -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_env(
            {"GDD_SERVICE_DISCOVERY_MODE": "memberlist,nacos", "GDD_MEM_PORT": "99999", "GDD_NACOS_TIMEOUT_MS": "soon"}
        )
    for name in ("GDD_SERVICE_NAME", "GDD_MEM_PORT", "GDD_NACOS_TIMEOUT_MS", "GDD_NACOS_SERVER_ADDR"):
        assert name in str(caught.value)


@pytest.mark.parametrize(("patched", "refused"), [(True, True), (False, False)])
def test_gevents_threads_are_refused_with_the_remedy(
    patched: bool, refused: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkey = SimpleNamespace(is_module_patched=lambda module: patched and module == "threading")
    monkeypatch.setitem(sys.modules, "gevent.monkey", monkey)  # type: ignore[arg-type]
    environment = Environment({"GDD_NACOS_SERVER_ADDR": "10.0.0.9"})
    read_settings(environment)
    assert [problem.name for problem in environment.problems] == ["GDD_SERVICE_DISCOVERY_MODE"] * refused
    assert all("patch_all(thread=False)" in problem.accepted for problem in environment.problems)


def test_a_folder_for_the_log_that_cannot_be_made_is_refused_when_the_driver_starts(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    impossible = str(tmp_path / "file" / "log")
    for folder in (impossible, str(tmp_path / ("x" * 5000)), "a\0b"):
        with pytest.raises(SettingsError, match="GDD_NACOS_LOG_DIR"):
            settings(GDD_NACOS_LOG_DIR=folder).check_folders()
    settings(GDD_NACOS_LOG_DIR=impossible, GDD_NACOS_LOG_DISCARD="true").check_folders()
    settings(GDD_NACOS_LOG_DIR=str(tmp_path / "log")).check_folders()
    assert (tmp_path / "log").is_dir()
