"""The values of all metrics at one moment, for whichever exporter asks.

Nothing here is on the way of a call, and nothing has an effect: no backend is asked for a service because somebody
looks at the numbers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

import attrs

from ... import __version__
from ...balancers.calls.breaker import TellingBreaker
from ...balancers.memory.ejection import EJECTING_RULES
from ...balancers.memory.service_memory import ServiceMemory
from ...balancers.service_state import ServiceState, states_of
from ...discovery.merging.snapshot import Snapshot
from ...discovery.registration import Presence
from ...discovery.registry import Registry
from ...discovery.status import BackendStatus
from ...drivers.errors import DiscoveryError
from ...drivers.members import Metric, MetricKind
from .calls import OTHERS, Durations, ServiceCalls
from .families import FAMILIES, Family, of_driver

__all__ = ["Reading", "readings"]

Reading = tuple[Family, tuple[str, ...], float | Durations]
"""A metric, the values of its labels, and its own. Readings of equal labels are to be added up."""

_BREAKER_STATES = {"open": ("open", 1), "half_open": ("halfopen", 2), "closed": ("closed", 3)}
"""Ours, in go-doudou's words, and its number for it."""

_COUNTS_OF_HEALTH = {
    "pydoudou_ejections_refused_total": "ejections_refused",
    "pydoudou_ejection_trials_total": "probes",
    "pydoudou_ejection_trials_failed_total": "probes_failed",
    "pydoudou_ejection_returns_total": "returns",
    "pydoudou_panics_total": "panics",
    "pydoudou_failures_in_doubt_total": "failures_in_doubt",
}
_COUNTS_OF_CALLS = {
    "pydoudou_moves_total": "moves",
    "pydoudou_repeats_total": "waits",
    "pydoudou_hedges_total": "hedges",
    "pydoudou_retries_refused_total": "budget_refused",
    "pydoudou_breaker_refused_total": "breaker_refused",
    "goresilience_retry_retries_total": "moves",
}


def readings(registry: Registry | None, calls: Mapping[str, ServiceCalls], most_services: int) -> Iterator[Reading]:
    """All values of a registry, and of the calls that were counted there.

    Args:
        registry: None if none runs: then there are the calls so far, and that it does not run.
        most_services: with rows of their own, those that were called before those that were not.
    """
    if registry is not None and registry.inherited:
        registry = None  # it runs in the process that forked this one, which tells of it
    snapshots: tuple[Snapshot, ...] = ()
    if registry is None or not registry.running:
        yield _of("pydoudou_running", 0)
        yield from _of_presence(Presence.STOPPED)
    else:
        try:
            status = registry.status()
        except DiscoveryError:  # it was stopped meanwhile
            return
        snapshots = status.snapshots
        settings = registry.settings
        name = settings.service_name if settings.register else ""
        yield _of("pydoudou_info", 1, __version__, name, ",".join(settings.modes))
        yield _of("pydoudou_running", status.running)
        yield _of("pydoudou_ready", status.ready)
        yield _of("pydoudou_registered", registry.registered is not None and status.ready)
        yield from _of_presence(status.presence)
        yield _of("pydoudou_in_doubt", bool(status.doubt))
        yield _of("pydoudou_services", status.services)
        for backend in status.backends:
            yield from _of_backend(registry, backend)
    states = {} if registry is None else states_of(registry)
    named = set(_first({**calls, **states, **{snapshot.service: None for snapshot in snapshots}}, most_services))
    for snapshot in snapshots:
        yield from _of_snapshot(snapshot, snapshot.service if snapshot.service in named else OTHERS)
    for service, counted in calls.items():
        yield from _of_calls(service if service in named else OTHERS, counted)
    for service, state in states.items():
        yield from _of_state(service if service in named else OTHERS, state)


def _first(names: Mapping[str, object], most: int) -> list[str]:
    return list(names)[:most]


def _of(name: str, value: float | Durations, *labels: str) -> Reading:
    return FAMILIES[name], labels, value


def _of_presence(present: str) -> Iterator[Reading]:
    for presence in Presence:
        yield _of("pydoudou_presence", presence == present, presence.value)


def _of_snapshot(snapshot: Snapshot, service: str) -> Iterator[Reading]:
    members = Counter((member.state.value, member.sources) for member in snapshot.members)
    for (state, sources), count in members.items():
        yield _of("pydoudou_members", count, service, state, "+".join(sources))
    yield _of("pydoudou_service_stale", snapshot.stale, service)


def _of_backend(registry: Registry, backend: BackendStatus) -> Iterator[Reading]:
    mode, said = backend.mode, backend.driver
    yield _of("pydoudou_backend_running", backend.running, mode)
    yield _of("pydoudou_backend_ready", backend.ready, mode)
    yield _of("pydoudou_backend_authoritative", backend.authoritative, mode)
    yield _of("pydoudou_backend_nodes", said.nodes, mode)
    yield _of("pydoudou_backend_restarts_total", backend.restarts, mode)
    yield _of("pydoudou_backend_subscriptions", backend.subscriptions, mode)
    yield _of("pydoudou_backend_subscription_errors_total", backend.subscription_errors, mode)
    if not said.counters and not said.gauges:
        return
    declared = _declared(registry, mode)
    for kind, numbers in ((MetricKind.COUNTER, said.counters), (MetricKind.GAUGE, said.gauges)):
        for name, number in numbers.items():
            metric = declared.get(name) or Metric(name, kind, "a number of the driver's status")
            # What a worker was told by the process that is its node bears the mode of the driver there.
            of, _, own = metric.name.rpartition(".")
            yield of_driver(of or mode, attrs.evolve(metric, name=own)), (), number


def _declared(registry: Registry, mode: str) -> dict[str, Metric]:
    """What the numbers of a driver mean, as far as it says so."""
    try:
        metrics = getattr(registry.driver(mode), "metrics", ())
    except (DiscoveryError, KeyError):  # it was stopped meanwhile
        return {}
    return {metric.name: metric for metric in metrics if isinstance(metric, Metric)}


def _of_calls(service: str, counted: ServiceCalls) -> Iterator[Reading]:
    yield _of("pydoudou_picks_total", counted.picks, service)
    for outcome, count in counted.attempts.items():
        yield _of("pydoudou_attempts_total", count, service, outcome)
    for outcome, count in counted.calls.items():
        yield _of("pydoudou_calls_total", count, service, outcome)
    for success, durations in (("true", counted.succeeded), ("false", counted.failed)):
        yield _of("pydoudou_call_duration_seconds", durations, service, success)
        yield _of("goresilience_command_execution_duration_seconds", durations, service, success)
    yield _of("goresilience_timeout_timeouts_total", counted.calls.get("timed_out", 0), service)


def _of_state(service: str, state: ServiceState) -> Iterator[Reading]:
    yield from state.look(lambda now, memory: [*_of_health(service, memory), *_of_budget(service, state, now)])
    shared = dict(state.calls.counters)
    for name, key in _COUNTS_OF_CALLS.items():
        yield _of(name, shared.get(key, 0), service)
    for key, count in shared.items():
        if key.startswith("dry_run_"):
            yield _of("pydoudou_dry_run_total", count, service, key.removeprefix("dry_run_"))
    for breaker in tuple(state.calls.breakers.values()):
        if isinstance(breaker, TellingBreaker):
            yield from _of_breaker(service, breaker)


def _of_budget(service: str, state: ServiceState, now: float) -> Iterator[Reading]:
    left = state.calls.left_at(now)
    if left is not None:
        yield _of("pydoudou_retry_budget_left", max(0.0, left), service)


def _of_health(service: str, memory: ServiceMemory) -> Iterator[Reading]:
    health = memory.health
    out = sum(not ejection.on_trial for ejection in health.ejections.out.values())
    yield _of("pydoudou_attempts_in_flight", sum(memory.loads.pending), service)
    yield _of("pydoudou_ejected_members", out, service)
    yield _of("pydoudou_slow_start_members", len(health.young), service)
    yield _of("pydoudou_panic", health.panic, service)
    for name, key in _COUNTS_OF_HEALTH.items():
        yield _of(name, health.counts[key], service)
    for rule in EJECTING_RULES:
        yield _of("pydoudou_ejections_total", health.counts[f"ejections_{rule}"], service, rule)
        if count := health.tried_out.counts[f"ejections_{rule}"]:
            yield _of("pydoudou_dry_run_total", count, service, rule)
    for rule, key in (("panic", "panics_dry_run"), ("zone", "zone_changes_dry_run")):
        if count := health.counts[key]:
            yield _of("pydoudou_dry_run_total", count, service, rule)


def _of_breaker(service: str, breaker: TellingBreaker) -> Iterator[Reading]:
    for state, (in_go, condition) in _BREAKER_STATES.items():
        changes = breaker.changes.get(state, 0)
        yield _of("pydoudou_breakers", breaker.state == state, service, state)
        yield _of("pydoudou_breaker_changes_total", changes, service, state)
        yield _of("goresilience_circuitbreaker_state_changes_total", changes, service, in_go)
        if breaker.state == state:
            yield _of("goresilience_circuitbreaker_current_condition", condition, service)
