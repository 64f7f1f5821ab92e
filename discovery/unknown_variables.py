"""Variables that nobody reads: a misspelt one would else pass in silence."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable

from ..drivers.environment import Environment
from ..drivers.kit.validation import escaped

__all__ = ["OF_A_SERVICE", "tell_of_unknown_variables", "unknown_variables"]

logger = logging.getLogger(__name__)

_PREFIX = "GDD_"
_NEAR = 0.85

_OF_A_SERVICE_NAMES = """
    SERVICE_NAME REGISTER_HOST NACOS_REGISTER_HOST PORT ROUTE_ROOT_PATH WEIGHT MEM_WEIGHT COMPAT LEAVE_ON_SIGTERM
    DRAIN_TIME
"""
OF_A_SERVICE = frozenset(_PREFIX + name for name in _OF_A_SERVICE_NAMES.split())
"""What a process that only looks does not read."""

_GO_DOUDOUS_OWN_NAMES = """
    APOLLO_ADDR APOLLO_BACKUP_ENABLE APOLLO_BACKUP_PATH APOLLO_CLUSTER APOLLO_LOG_ENABLE APOLLO_MUSTSTART
    APOLLO_NAMESPACE APOLLO_SECRET BANNER BANNER_TEXT CORS_ENABLE DB_CHARSET DB_CONN_MAX_IDLE_TIME
    DB_CONN_MAX_LIFETIME DB_DRIVER DB_DSN DB_HOST DB_MAX_IDLE_CONNS DB_MAX_OPEN_CONNS DB_NAME DB_PASSWD DB_PORT
    DB_TABLE_PREFIX DB_USER ENABLE_RESPONSE_GZIP ETCD_ENDPOINTS ETCD_LEASE FALLBACK_CONTENTTYPE GRACE_TIMEOUT
    GRPC_PORT HOST IDLE_TIMEOUT LOG_CALLER LOG_DISCARD LOG_FORMAT LOG_PATH LOG_REQ_ENABLE LOG_STYLE
    MANAGE_ENABLE MEM_DEADTIMEOUT MEM_WHITELIST MODE
    READ_TIMEOUT RETRY_COUNT ROUTER_SAVE_MATCHED_ROUTE_PATH SERVICE_GROUP SERVICE_VERSION
    SQL_LOG_ENABLE STATS_FREQ TRACING_METRICS_ROOT WRITE_TIMEOUT ZK_DIRECTORY_PATTERN ZK_SEQUENCE ZK_SERVERS
"""
_GO_DOUDOUS_OWN = frozenset(_PREFIX + name for name in _GO_DOUDOUS_OWN_NAMES.split())
"""What go-doudou reads and this library does not: a file of variables may serve both."""


def unknown_variables(environment: Environment, other_modes: Callable[[], Iterable[str]]) -> dict[str, str | None]:
    """Each variable that nobody asked for, and what it is nearly called like: "" for nothing, None if it is not meant
    for this process: go-doudou's own, or of a mode that is not used.

    Args:
        environment: after everybody has read it.
        other_modes: those that are not used, whose variables are nobody's mistake; asked for if there is a question.
    """
    unknown = environment.unknown(_PREFIX)
    others = [mode.upper() for mode in other_modes()] if unknown else []
    found: dict[str, str | None] = {}
    for name in unknown:
        family = name.removeprefix(_PREFIX).partition("_")[0]
        elsewhere = name in _GO_DOUDOUS_OWN or name in OF_A_SERVICE or any(mode.startswith(family) for mode in others)
        found[name] = None if elsewhere else _nearest(name, environment.known | OF_A_SERVICE)
    return found


def tell_of_unknown_variables(environment: Environment, other_modes: Callable[[], Iterable[str]]) -> None:
    """Warn of each variable that nobody asked for and that is nearly called like one that somebody did; see
    `unknown_variables`.
    """
    unused: list[str] = []
    for name, near in unknown_variables(environment, other_modes).items():
        if near:
            logger.warning("%s is no variable of this library and does nothing: did you mean %s?", escaped(name), near)
        else:
            unused.append(name)
    if unused:
        logger.debug("variables that are not used here: %s", ", ".join(map(ascii, unused)))


def _nearest(name: str, known: Collection[str]) -> str:
    """The variable that is called nearly like this one; "" if there is none."""
    from difflib import get_close_matches  # only needed when something is wrong

    return next(iter(get_close_matches(name, sorted(known), 1, _NEAR)), "")
