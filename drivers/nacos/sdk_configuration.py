"""From our settings to the SDK's configuration, and what it needs for it: a log handler, a certificate.

- Its log goes where it was asked to go: nowhere, to Python's logging, or to a file in ``GDD_NACOS_LOG_DIR``. At level
  INFO the SDK logs the access token, and at DEBUG the password: a filter takes them out.
- With TLS it insists on a client certificate. It gets one made up on the spot, which no server asks for.
"""

from __future__ import annotations

import datetime
import logging
import re
import ssl
from collections.abc import Callable, Sequence
from logging.handlers import TimedRotatingFileHandler
from pathlib import Path

from v2.nacos import ClientConfig, GRPCConfig
from v2.nacos.common.client_config import TLSConfig

from ..kit.log_fields import fields
from .errors import NacosRefused
from .sdk_patches import sdk_log
from .settings import LogLevel, NacosSettings, Server, TlsFiles

__all__ = ["call_timeout", "configuration", "log_handler", "writable_cache"]

logger = logging.getLogger(__name__)

_MOST_CALL_TIMEOUT = 3.0
"""Seconds for one gRPC call; the SDK makes up to three."""

_KEPT_LOGS = 7
_LEVELS = {
    None: logging.CRITICAL + 1,
    LogLevel.DEBUG: logging.DEBUG,
    LogLevel.INFO: logging.INFO,
    LogLevel.WARN: logging.WARNING,
    LogLevel.ERROR: logging.ERROR,
}


def configuration(
    settings: NacosSettings, servers: Sequence[Server], connect_within: float, folder: Callable[[], Path]
) -> ClientConfig:
    """The SDK's configuration for a client that connects to one of `servers`.

    Args:
        connect_within: seconds for one attempt to connect, of which there are three.
        folder: a folder for a made-up certificate, made when it is asked for.

    Raises:
        NacosRefused: there is nowhere to put a made-up client certificate.
    """
    made = ClientConfig(
        # With a scheme, for the SDK finds one in any address that has "http" in it somewhere.
        server_addresses=",".join(f"{settings.scheme}://{server}" for server in servers),
        namespace_id=settings.namespace,
        context_path=settings.context_path,
        username=settings.username or None,
        password=settings.password or None,
        access_key=settings.access_key or None,
        secret_key=settings.secret_key or None,
        log_level=_LEVELS[settings.log_level],
    )
    made.set_cache_dir(settings.cache_dir or ".")  # which nobody writes to unless it was named
    made.set_load_cache_at_start(False)
    made.set_update_cache_when_empty(True)
    made.set_timeout_ms(settings.request_timeout)  # which the SDK takes for seconds
    made.set_grpc_config(GRPCConfig(grpc_timeout=round(min(settings.request_timeout, connect_within) * 1000)))
    if settings.tls is not None:
        made.set_tls_config(_tls(settings.tls, folder))
    return made


def call_timeout(settings: NacosSettings) -> int:
    """Milliseconds for a call once connected: longer than connecting may take; the SDK has one setting for both."""
    return round(min(settings.request_timeout, _MOST_CALL_TIMEOUT) * 1000)


# -- logs and files ----------------------------------------------------------------------------------------------------


class _SecretsFilter(logging.Filter):
    """Takes passwords and tokens out of what the SDK logs."""

    _SECRET = re.compile(r"(?i)(password|accessToken|secret\w*|signature)(['\"]?\s*[:=]\s*['\"]?)[^\s'\"&,}]+")

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = self._SECRET.sub(r"\1\2***", record.getMessage()), ()
        return True


_secrets = _SecretsFilter()


class _LogFile(TimedRotatingFileHandler):
    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - its name
        """A full disk costs the log, and not a traceback on standard error for every line of it."""


def log_handler(settings: NacosSettings) -> logging.Handler | None:
    """A file for the SDK's log, if one was asked for and can be written."""
    if _secrets not in sdk_log.filters:
        sdk_log.addFilter(_secrets)
    if settings.log_dir is None or settings.log_level is None:
        return None
    try:
        folder = Path(settings.log_dir)
        folder.mkdir(parents=True, exist_ok=True)
        handler = _LogFile(folder / "naming.log", "midnight", backupCount=_KEPT_LOGS, encoding="utf-8")
    except OSError as error:
        logger.warning(
            "the log of nacos-sdk-python is not written: %s", error, extra=fields(backend="nacos", reason=error)
        )
        return None
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    return handler


def writable_cache(settings: NacosSettings) -> bool:
    """Whether the SDK's cache was asked for and can be written."""
    if settings.cache_dir is None:
        return False
    try:
        Path(settings.cache_dir).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        logger.warning(
            "the cache of nacos-sdk-python is not written: %s", error, extra=fields(backend="nacos", reason=error)
        )
        return False
    return True


# -- TLS ---------------------------------------------------------------------------------------------------------------


def _tls(files: TlsFiles, folder: Callable[[], Path]) -> TLSConfig:
    certificate, key = files.certificate, files.key
    if not certificate:
        try:
            certificate, key = _made_up_certificate(folder())
        except OSError as error:
            raise NacosRefused(
                f"nacos-sdk-python needs a client certificate for TLS, and there is nowhere to put one ({error}): set "
                "GDD_NACOS_TLS_CERT_FILE and GDD_NACOS_TLS_KEY_FILE"
            ) from error
    return TLSConfig(enabled=True, ca_file=files.ca or _system_ca(), cert_file=certificate, key_file=key)


def _system_ca() -> str:
    paths = ssl.get_default_verify_paths()
    return paths.cafile or paths.openssl_cafile


def _made_up_certificate(folder: Path) -> tuple[str, str]:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    certificate_file, key_file = folder / "client.pem", folder / "client.key"
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
    certificate_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file.touch(mode=0o600)
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return str(certificate_file), str(key_file)
