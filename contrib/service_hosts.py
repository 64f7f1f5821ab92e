"""Which hosts are services, for a client that sees every URL of a program: the rules of all such clients."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Generic, TypeVar

from ..balancers import Balancer, LeastLatency
from ..balancers.calls.given_policy import checked_policy
from ..balancers.calls.policy import CallPolicy
from ..balancers.calls.service import CalledService, ClientErrors
from ..balancers.calls.services import Services
from ..balancers.calls.urls import LOGICAL_SCHEME, is_service_name
from ..balancers.reporting import reporting
from ..drivers.members import Member

__all__ = ["GivenBalancers", "ServiceHosts"]

T = TypeVar("T")

GivenBalancers = Callable[[str], Balancer] | Mapping[str, Balancer] | None
"""What makes the balancer of a service from its name, or balancers by service name; None for the default one."""


class ServiceHosts(Generic[T]):
    """The services that one client calls, met as their hosts turn up in URLs; for any thread.

    Args:
        services: host in the URL to service name, for names that a URL cannot carry.
        schemes: of URLs that may be for a service.
        changed: is told of a host and of the members there are now, when they are others than at the last call.

    The other arguments are those of `CalledService`.
    """

    def __init__(
        self,
        services: Mapping[str, str] | None,
        balancer: GivenBalancers,
        policy: CallPolicy,
        errors: ClientErrors,
        make_origin: Callable[[str], T],
        log: logging.Logger,
        schemes: Iterable[str],
        changed: Callable[[str, Iterable[Member]], None],
    ) -> None:
        if balancer is not None and not callable(balancer) and not isinstance(balancer, Mapping):
            raise TypeError(
                f"balancer is a {type(balancer).__name__}; accepted: a function from a service name to its balancer "
                f"(a class such as WeightedRandom is one), or a mapping from service names to balancers"
            )
        if isinstance(balancer, Mapping):
            for name, one in balancer.items():
                reporting(one, name)
        if services is not None and not (
            isinstance(services, Mapping) and all(isinstance(text, str) for item in services.items() for text in item)
        ):
            raise TypeError(f"services is {services!r}; accepted: a mapping from hosts in URLs to names of services")
        self._names = {host.lower(): name for host, name in (services or {}).items()}
        self._given, self._policy, self._errors = balancer, policy, errors
        self._make_origin, self._log, self._changed = make_origin, log, changed
        self._schemes = frozenset(schemes)
        self._services: Services[T] = Services()
        self._lock = threading.Lock()

    @property
    def policy(self) -> CallPolicy:
        """How far calls may go; one that is set holds for the calls that begin after it."""
        return self._policy

    @policy.setter
    def policy(self, policy: CallPolicy) -> None:
        chosen = checked_policy(policy)
        with self._lock:
            self._policy = chosen
            for service in self._services.by_host.values():
                service.policy = chosen

    def of(self, scheme: str, host: str) -> CalledService[T] | None:
        """The service of a URL with this scheme and this lower-case host; None if it is for no service."""
        if scheme not in self._schemes:
            return None
        service = self._services.by_host.get(host)
        if service is None and (scheme == LOGICAL_SCHEME or host in self._names or is_service_name(host)):
            return self._meet(host)
        return service

    def _meet(self, host: str) -> CalledService[T]:
        """The service of a host that was not called before, or was forgotten."""
        with self._lock:
            service = self._services.by_host.get(host)
            if service is None:
                name = self._names.get(host, host)
                given = self._given.get(name) if isinstance(self._given, Mapping) else self._given
                service = CalledService(
                    host,
                    reporting(LeastLatency if given is None else given, name),
                    self._policy,
                    self._errors,
                    self._make_origin,
                    self._log,
                    lambda members: self._changed(host, members),
                )
                for forgotten in self._services.add(service):
                    self._changed(forgotten, ())
        return service
