"""The names of all metrics, with their labels: dashboards are built on them, so they do not change.

Ours begin with ``pydoudou_``; units and ``_total`` stand where Prometheus' conventions want them. Beside them are the
names that go-doudou's services have, with its labels, so that one dashboard shows services in both languages.
"""

from __future__ import annotations

import re
from typing import Literal

import attrs

from ...drivers.members import Metric, MetricKind

__all__ = ["FAMILIES", "TUTORIAL_NAMES", "Family", "Kind", "of_driver"]

Kind = Literal["counter", "gauge", "histogram", "untyped"]


@attrs.frozen
class Family:
    """One metric.

    Attributes:
        name: as it stands in queries; that of a histogram without ``_bucket``, ``_sum`` and ``_count``.
        labels: besides ``registry``, which only those have whose `Metrics` was given a name. Bulkheads and limits are
            of the process, and have none.
    """

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()


_SERVICE = ("service",)
_BACKEND = ("backend",)
_NAME = ("name",)

_FAMILIES = (
    # the registry
    Family("pydoudou_info", "gauge", "1; the labels say what this process is", ("version", "service", "modes")),
    Family("pydoudou_running", "gauge", "whether the registry runs"),
    Family("pydoudou_ready", "gauge", "whether every backend is ready"),
    Family("pydoudou_registered", "gauge", "whether this process registers a service, and every backend has it"),
    Family(
        "pydoudou_presence",
        "gauge",
        "1 for what this process is to others: stopped, held back, running, draining or left",
        ("state",),
    ),
    Family("pydoudou_in_doubt", "gauge", "whether this process doubts itself, and judges nobody"),
    Family("pydoudou_services", "gauge", "services that have members"),
    Family(
        "pydoudou_members",
        "gauge",
        "members; the source of one that several backends report is all of them, joined by +",
        ("service", "state", "source"),
    ),
    Family(
        "pydoudou_service_stale",
        "gauge",
        "whether some member is known only from backends that are not authoritative at present",
        _SERVICE,
    ),
    # its backends
    Family(
        "pydoudou_backend_running",
        "gauge",
        "whether the driver serves, and does not wait for a restart",
        _BACKEND,
    ),
    Family("pydoudou_backend_ready", "gauge", "joined or connected, and registered if there is something to", _BACKEND),
    Family("pydoudou_backend_authoritative", "gauge", "whether what it reports counts at present", _BACKEND),
    Family("pydoudou_backend_nodes", "gauge", "processes (gossip) or instances (Nacos) that it sees", _BACKEND),
    Family("pydoudou_backend_restarts_total", "counter", "how often the driver was started again", _BACKEND),
    Family("pydoudou_backend_subscriptions", "gauge", "services that it was asked to report", _BACKEND),
    Family("pydoudou_backend_subscription_errors_total", "counter", "such requests that failed", _BACKEND),
    # calls
    Family("pydoudou_picks_total", "counter", "members that balancers picked", _SERVICE),
    Family("pydoudou_attempts_total", "counter", "attempts that ended, by how", ("service", "outcome")),
    Family("pydoudou_attempts_in_flight", "gauge", "attempts that began and have not ended", _SERVICE),
    Family(
        "pydoudou_calls_total",
        "counter",
        "calls that ended, by how the last attempt did",
        ("service", "outcome"),
    ),
    Family(
        "pydoudou_call_duration_seconds",
        "histogram",
        "whole calls, retries included, to the end of the body; success is a status below 400",
        ("service", "success"),
    ),
    Family("pydoudou_moves_total", "counter", "times that a call went on with another attempt", _SERVICE),
    Family("pydoudou_repeats_total", "counter", "such attempts at a member that had been tried", _SERVICE),
    Family("pydoudou_hedges_total", "counter", "second attempts beside the first", _SERVICE),
    Family("pydoudou_retries_refused_total", "counter", "attempts not made, for lack of retry budget", _SERVICE),
    Family(
        "pydoudou_retry_budget_left",
        "gauge",
        "retries allowed now, by the latest call's policy",
        _SERVICE,
    ),
    Family("pydoudou_breakers", "gauge", "circuit breakers, by their present state", ("service", "state")),
    Family("pydoudou_breaker_changes_total", "counter", "times that one came into the state", ("service", "state")),
    Family("pydoudou_breaker_refused_total", "counter", "calls that an open one refused", _SERVICE),
    # the health of members
    Family("pydoudou_ejected_members", "gauge", "members that get no calls for a while", _SERVICE),
    Family("pydoudou_ejections_total", "counter", "members put out, by the rule that did it", ("service", "rule")),
    Family("pydoudou_ejections_refused_total", "counter", "members that stayed, because too many were out", _SERVICE),
    Family("pydoudou_ejection_trials_total", "counter", "calls that tried a member that was out", _SERVICE),
    Family("pydoudou_ejection_trials_failed_total", "counter", "members put out again by their trial", _SERVICE),
    Family("pydoudou_ejection_returns_total", "counter", "members that came back", _SERVICE),
    Family("pydoudou_slow_start_members", "gauge", "new members that get a part of their share", _SERVICE),
    Family("pydoudou_panic", "gauge", "whether those that are out are called too, because too few are left", _SERVICE),
    Family("pydoudou_panics_total", "counter", "times that this began", _SERVICE),
    Family("pydoudou_failures_in_doubt_total", "counter", "failures held against nobody, in self-doubt", _SERVICE),
    Family("pydoudou_dry_run_total", "counter", "what a rule in a dry run would have done", ("service", "rule")),
    # what keeps a server from more than it can do
    Family("pydoudou_bulkhead_places", "gauge", "requests that may be under way at once", _NAME),
    Family("pydoudou_bulkhead_in_flight", "gauge", "requests that hold a place", _NAME),
    Family("pydoudou_bulkhead_waiting", "gauge", "requests that wait for one", _NAME),
    Family("pydoudou_bulkhead_entered_total", "counter", "requests that got a place", _NAME),
    Family("pydoudou_bulkhead_refused_total", "counter", "requests that got none", _NAME),
    Family(
        "pydoudou_limit_decisions_total",
        "counter",
        "requests of a rate limit: passed, refused, or open or closed without an answer of its store",
        ("name", "decision"),
    ),
    Family(
        "pydoudou_limit_store_failures_total",
        "counter",
        "times that its store did not tell: down, slow, nonsense; or busy, and was not asked in time",
        ("name", "failure"),
    ),
    # as go-doudou's services name it
    Family(
        "goresilience_command_execution_duration_seconds",
        "histogram",
        "whole calls; id is the service called",
        ("id", "success"),
    ),
    Family("goresilience_retry_retries_total", "counter", "as pydoudou_moves_total", ("id",)),
    Family("goresilience_timeout_timeouts_total", "counter", "calls that ended without an answer in time", ("id",)),
    Family(
        "goresilience_circuitbreaker_state_changes_total",
        "counter",
        "as pydoudou_breaker_changes_total; the states are open, halfopen and closed",
        ("id", "state"),
    ),
    Family("goresilience_circuitbreaker_current_condition", "gauge", "1 open, 2 half open, 3 closed", ("id",)),
    Family(
        "go_doudou_http_request_count",
        "untyped",
        "requests that this service answered; path is the pattern of the route",
        ("path", "method", "status"),
    ),
    Family("go_doudou_http_response_time_seconds", "histogram", "how long answering took", ("path", "method")),
    # as its first versions named it
    Family("http_requests_total", "counter", "requests answered; only with tutorial_names", ("path",)),
    Family("response_status", "untyped", "the same by status; only with tutorial_names", ("status",)),
    Family("http_response_time_seconds", "histogram", "how long answering took; only with tutorial_names", ("path",)),
)

FAMILIES = {family.name: family for family in _FAMILIES}
"""Every metric but those of drivers, by its name."""

TUTORIAL_NAMES = frozenset({"http_requests_total", "response_status", "http_response_time_seconds"})
"""Those that go-doudou's first versions had, and the dashboard of its tutorial asks for. Too general to be taken by
everybody: libraries for FastAPI and Flask have some of them.
"""

_NOT_IN_A_NAME = re.compile("[^a-zA-Z0-9_]")


def of_driver(mode: str, metric: Metric) -> Family:
    """The metric of a number in a driver's status: ``pydoudou_<mode>_<name>_<unit>_total``."""
    parts = [part for part in metric.name.split("_") if part != metric.unit]
    counter = metric.kind is MetricKind.COUNTER
    name = "_".join(
        ["pydoudou", mode, *parts, *([metric.unit] if metric.unit else []), *(["total"] if counter else [])]
    )
    return Family(_NOT_IN_A_NAME.sub("_", name), "counter" if counter else "gauge", metric.help)
