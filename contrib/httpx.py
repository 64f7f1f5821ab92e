"""httpx: ``client.get("http://orders/items")`` goes to a member of the service ``orders``.

One transport serves `httpx.Client` and `httpx.AsyncClient`, in front of the transport that has the connections:

    httpx.Client(transport=DiscoveryTransport())
    httpx.AsyncClient(mounts={"http://orders": DiscoveryTransport()})

The request that the client made is never changed, and a request of its own goes out for every attempt. So redirects,
cookies, event hooks and `response.url` stay in terms of the service.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

try:
    import httpx
except ModuleNotFoundError as error:
    raise ModuleNotFoundError("pydoudou.contrib.httpx needs httpx: pip install 'pydoudou[httpx]'") from error

from ..balancers.calls.given_policy import given_policy
from ..balancers.calls.policy import CallPolicy
from ..balancers.calls.trail import Attempt, attempts_of_error
from ..drivers.members import Member
from .httpx_library import Library
from .httpx_transport import BalancedTransport
from .service_hosts import GivenBalancers

__all__ = ["CircuitOpenError", "DiscoveryTransport", "NoMemberError", "attempts_of", "member_of"]

logger = logging.getLogger(__name__)

Given = (
    httpx.BaseTransport
    | httpx.AsyncBaseTransport
    | Callable[[], httpx.BaseTransport]
    | Callable[[], httpx.AsyncBaseTransport]
    | None
)
"""A transport that all share, a function that makes one per member, or None for transports without options."""


class NoMemberError(httpx.ConnectError):
    """No member of the service can be picked; the `NoMemberAvailable` that says why is the ``__cause__``."""


class CircuitOpenError(httpx.ConnectError):
    """The circuit breaker of the service lets no call through; the `CircuitOpen` is the ``__cause__``."""


def member_of(response: httpx.Response) -> Member:
    """The member that answered; the same as ``response.extensions["member"]``, with its type.

    Raises:
        LookupError: the response did not come through a `DiscoveryTransport`.
    """
    member = response.extensions.get("member")
    if not isinstance(member, Member):
        raise LookupError(f"{response!r} did not come from a member of a service")
    return member


def attempts_of(of: httpx.Response | BaseException) -> tuple[Attempt, ...]:
    """The attempts of the call that ended with this response or this error, the last one included.

    What ``response.extensions["attempts"]`` is a sequence of. Empty if it did not come through a `DiscoveryTransport`.
    """
    return attempts_of_error(of) if isinstance(of, BaseException) else tuple(of.extensions.get("attempts", ()))


class DiscoveryTransport(
    BalancedTransport[httpx.Request, httpx.Response], httpx.BaseTransport, httpx.AsyncBaseTransport
):
    """Sends requests for services to their members, and every other request on as it is.

    A host is a service if it is named in `services`, if it has one label and is neither ``localhost`` nor a number, or
    if the scheme is ``lb``. A port in the URL of a service is ignored: the members have their own. With ``https://``
    the connection is TLS whatever the member registered, and the certificate must carry the name in the URL.

    Args:
        transport: makes the transport that holds the connections to one member: the class `httpx.HTTPTransport` for
            `httpx.Client`, `httpx.AsyncHTTPTransport` for `httpx.AsyncClient`, or a function that calls it with
            options. By default one without options: the client's own ``verify=``, ``cert=``, ``http2=`` and
            ``limits=`` do not reach it. An instance is accepted too; then all members share its one pool.
        services: host name in the URL to service name, for names that a URL cannot carry: URLs have lower-case hosts.
        balancer: makes the balancer of a service from its name (`WeightedRandom`, say), or balancers by service name.
            By default, and for services that the mapping lacks, `LeastLatency` on the default registry.
        attempts: the most attempts of one request; 3 by default.
        deadline: seconds from the start of a request to the head of its answer, over all attempts. None: the client's
            timeouts decide, and all connecting together takes 30 s at most.
        policy: these two and all else about how far a request goes, in place of them.

    Attributes:
        policy: the policy; it may be changed at any time, for the requests that begin after that.

    Raises, from a request:
        NoMemberError: there is no member to send it to.
        CircuitOpenError: the policy has a circuit breaker, and it is open.

    Any other error is the one of the last attempt.

    The response tells who answered, ``response.extensions["member"]``, and of all attempts at it (`attempts_of`).
    """

    library = Library(httpx, NoMemberError, CircuitOpenError, logger)

    def __init__(
        self,
        transport: Given = None,
        *,
        services: Mapping[str, str] | None = None,
        balancer: GivenBalancers = None,
        attempts: int | None = None,
        deadline: float | None = None,
        policy: CallPolicy | None = None,
    ) -> None:
        super().__init__(transport, services, balancer, given_policy(policy, attempts, deadline))
