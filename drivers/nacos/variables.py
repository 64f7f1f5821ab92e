"""The variables of the nacos driver, for the manual."""

from __future__ import annotations

from ..documented import Documented

__all__ = ["VARIABLES"]

VARIABLES = (
    Documented(
        "GDD_NACOS_SERVER_ADDR",
        "–",
        "list",
        "the servers of one cluster: `http://10.0.0.1:8848/nacos`, or `10.0.0.1:8848`. The port is that of HTTP; "
        "gRPC is 1000 above. Needed. No IPv6 addresses",
    ),
    Documented(
        "GDD_NACOS_JOIN",
        "`retry`",
        "`retry`, `required`",
        "whether a process that reaches no server starts and keeps trying, or does not start",
    ),
    Documented(
        "GDD_NACOS_NAMESPACE_ID",
        "`public`",
        "text",
        "the namespace, by its id",
    ),
    Documented(
        "GDD_NACOS_GROUP_NAME",
        "`DEFAULT_GROUP`",
        "text",
        "the group in which the service is registered, and others are looked for",
    ),
    Documented(
        "GDD_NACOS_CLUSTER_NAME",
        "`DEFAULT`",
        "text",
        "the cluster in which the service is registered, of letters, digits and `-`; others are found in all clusters",
    ),
    Documented(
        "GDD_NACOS_USERNAME",
        "–",
        "text",
        "with `GDD_NACOS_PASSWORD`, where the server wants a user",
    ),
    Documented(
        "GDD_NACOS_PASSWORD",
        "–",
        "text",
        "never shown, never logged",
        secret=True,
    ),
    Documented(
        "GDD_NACOS_ACCESS_KEY",
        "–",
        "text",
        "with `GDD_NACOS_SECRET_KEY`, where a cloud provider wants keys",
    ),
    Documented(
        "GDD_NACOS_SECRET_KEY",
        "–",
        "text",
        "never shown, never logged",
        secret=True,
    ),
    Documented(
        "GDD_NACOS_TLS",
        "`false`",
        "flag",
        "whether gRPC is encrypted; `true` is the default with `https://` addresses, or if one of the next three "
        "is set",
    ),
    Documented(
        "GDD_NACOS_TLS_CA_FILE",
        "the system's",
        "text",
        "certificates that the server's one is checked against, PEM",
    ),
    Documented(
        "GDD_NACOS_TLS_CERT_FILE",
        "–",
        "text",
        "a client certificate, PEM, where the server wants one",
    ),
    Documented(
        "GDD_NACOS_TLS_KEY_FILE",
        "–",
        "text",
        "its key, PEM",
    ),
    Documented(
        "GDD_NACOS_CHECK_INTERVAL",
        "`3s`",
        "duration, s",
        "how soon it is noticed that the server is silent, or has lost the registration",
    ),
    Documented(
        "GDD_NACOS_TIMEOUT_MS",
        "`10s`",
        "duration, ms",
        "for one question to the server",
    ),
    Documented(
        "GDD_NACOS_LOG_DIR",
        "–",
        "text",
        "the folder of the SDK's log file, `naming.log`",
    ),
    Documented(
        "GDD_NACOS_LOG_LEVEL",
        "`warn`",
        "`debug`, `info`, `warn`, `error`",
        "from which level on the SDK logs. If neither this nor the folder is set, it logs nothing",
    ),
    Documented(
        "GDD_NACOS_LOG_DISCARD",
        "`false`",
        "flag",
        "whether it logs nothing in any case",
    ),
    Documented(
        "GDD_NACOS_CACHE_DIR",
        "–",
        "text",
        "a folder to which the SDK writes what it was told. Nothing reads it",
    ),
    Documented(
        "GDD_NACOS_NOTLOADCACHEATSTART",
        "`true`",
        "flag",
        "accepted for go-doudou's sake, and without effect: the cache is never read",
    ),
    Documented(
        "GDD_NACOS_NOT_LOAD_CACHE_AT_START",
        "`true`",
        "flag",
        "what go-doudou v1 calls it",
    ),
)
