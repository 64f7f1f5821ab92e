"""Keeps the SDK from doing what a library must not. What it does, and what is done about it:

- It writes files to the home directory: it gets folders of ours, its log handler is taken off, and its cache is not
  written unless there is a folder for it. (Closed while it writes, it would leave the file open.)
- Its loggers are Python's root, and one called ``naming`` that passes nothing on and repeats itself; at level INFO it
  logs the access token, and at DEBUG the password. `quiet` and `_SecretsFilter` mend that.
- It refuses to work on a machine whose only address is loopback, because it wants to tell the server its own address.
- With TLS it insists on a client certificate. It gets one made up on the spot, which no server asks for.
"""

from __future__ import annotations

import datetime
import logging
import re
from collections.abc import Sequence
from pathlib import Path

from v2.nacos import ClientConfig, GRPCConfig
from v2.nacos.common.client_config import TLSConfig
from v2.nacos.naming.cache import service_info_cache as sdk_cache
from v2.nacos.transport import rpc_client as sdk_rpc_client
from v2.nacos.utils.net_util import NetUtils

from .settings import LogLevel, NacosSettings, Server, TlsFiles

__all__ = ["configuration", "give_calls_their_time", "quiet", "sdk_log"]

sdk_log = logging.getLogger("naming")
"""The SDK's logger."""

_MOST_CALL_TIMEOUT = 3.0
"""Seconds for one gRPC call; the SDK makes up to three."""

_UNWRITTEN = "pydoudou-writes-no-cache"
"""The folder of a cache that is not written."""

_LEVELS = {
    None: logging.CRITICAL + 1,
    LogLevel.DEBUG: logging.DEBUG,
    LogLevel.INFO: logging.INFO,
    LogLevel.WARN: logging.WARNING,
    LogLevel.ERROR: logging.ERROR,
}


def configuration(
    settings: NacosSettings, servers: Sequence[Server], folder: Path, connect_within: float
) -> ClientConfig:
    made = ClientConfig(
        # With a scheme, for the SDK finds one in any address that has "http" in it somewhere.
        server_addresses=",".join(f"{settings.scheme}://{server}" for server in servers),
        namespace_id=settings.namespace,
        context_path=settings.context_path,
        username=settings.username or None,
        password=settings.password or None,
        access_key=settings.access_key or None,
        secret_key=settings.secret_key or None,
        log_dir=settings.log_dir if settings.log_dir and settings.log_level else str(folder / "log"),
        log_level=_LEVELS[settings.log_level],
    )
    made.set_cache_dir(settings.cache_dir or str(folder / _UNWRITTEN))
    made.set_load_cache_at_start(False)
    made.set_update_cache_when_empty(True)
    made.set_timeout_ms(settings.request_timeout)  # which the SDK takes for seconds
    made.set_grpc_config(GRPCConfig(grpc_timeout=round(min(settings.request_timeout, connect_within) * 1000)))
    if settings.tls is not None:
        made.set_tls_config(_tls(settings.tls, folder))
    return made


def _tls(files: TlsFiles, folder: Path) -> TLSConfig:
    certificate, key = files.certificate, files.key
    if not certificate:
        certificate, key = _made_up_certificate(folder)
    return TLSConfig(enabled=True, ca_file=files.ca or _system_ca(), cert_file=certificate, key_file=key)


def _system_ca() -> str:
    import ssl

    paths = ssl.get_default_verify_paths()
    return paths.cafile or paths.openssl_cafile


def _made_up_certificate(folder: Path) -> tuple[str, str]:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "pydoudou")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=3650))
        .sign(key, hashes.SHA256())
    )
    certificate_file, key_file = folder / "client.pem", folder / "client.key"
    certificate_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file.touch(mode=0o600)
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return str(certificate_file), str(key_file)


class _SecretsFilter(logging.Filter):
    """Takes passwords and tokens out of what the SDK logs."""

    _SECRET = re.compile(r"(?i)(password|accessToken|secret\w*|signature)(['\"]?\s*[:=]\s*['\"]?)[^\s'\"&,}]+")

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = self._SECRET.sub(r"\1\2***", record.getMessage()), ()
        return True


_secrets = _SecretsFilter()


def quiet(settings: NacosSettings, handlers: list[logging.Handler]) -> None:
    """Keep the SDK's log file only if it was asked for, and let Python's logging have the rest."""
    if _secrets not in sdk_log.filters:
        sdk_log.addFilter(_secrets)
    if settings.log_dir is not None and settings.log_level is not None:
        return
    sdk_log.propagate = True
    for handler in tuple(handlers):
        sdk_log.removeHandler(handler)
        handler.close()
        handlers.remove(handler)


def _own_address_or_loopback() -> None:
    """The SDK sends its own address along for information, and fails without one that is not loopback."""
    try:
        NetUtils.get_local_ip()
    except Exception:
        NetUtils.get_local_ip = staticmethod(lambda: "127.0.0.1")


_write_to_file = sdk_cache.write_to_file


def give_calls_their_time(made: ClientConfig, settings: NacosSettings) -> None:
    """Once connected, a call may take longer than connecting may; the SDK has one setting for both."""
    made.grpc_config.grpc_timeout = round(min(settings.request_timeout, _MOST_CALL_TIMEOUT) * 1000)


async def _write_if_wanted(logger: logging.Logger, path: str, content: str) -> None:
    """Stands for the SDK's own function, which clients of the application's go on using."""
    if _UNWRITTEN not in path:
        await _write_to_file(logger, path, content)


sdk_cache.write_to_file = _write_if_wanted
_own_address_or_loopback()
# Its one use of the root logger, which in a program that has not set up logging writes to standard error.
sdk_rpc_client.logging = sdk_log
