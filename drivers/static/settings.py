"""The variables of the static driver.

``GDD_STATIC_<SERVICE>`` lists the addresses of a service:
``http://10.0.0.1:8080/api;weight=2,http://10.0.0.2:8080``. The service's name is the rest of the variable's name in
lower case, with ``-`` for ``_``: ``GDD_STATIC_USER_SVC`` is ``user-svc``.

``GDD_STATIC_VARIABLES`` names services that no variable can spell, and the variables that have their addresses:
``user_svc=GDD_STATIC_USER_SVC,Orders=ORDERS``. That is also how the variables of go-doudou's generated clients are
used, which have one address each and any name: ``wordcloud-usersvc=USERSVC,wordcloud-seg=WORDCLOUDSEG``.
"""

from __future__ import annotations

from urllib.parse import urlsplit

import attrs

from ..environment import Environment
from ..kit.service_names import plain_name
from ..kit.validation import MAX_WEIGHT, checked_member, printable
from ..members import Member

__all__ = ["StaticSettings", "parse_member", "read_settings"]

_PREFIX = "GDD_STATIC_"
_VARIABLES = "GDD_STATIC_VARIABLES"
_ACCEPTED = "a comma list of URLs such as http://10.0.0.1:8080/api;weight=2"
_DEFAULT_PORTS = {"http": 80, "https": 443, "grpc": 50051}


@attrs.frozen
class StaticSettings:
    """The members of all services, in the order in which they are listed."""

    members: tuple[Member, ...] = ()


def read_settings(environment: Environment) -> StaticSettings:
    """Read every address; bad ones are recorded on `environment`."""
    members: dict[tuple[str, str, int], Member] = {}
    for service, variable in _variables(environment).items():
        if "@" in environment.text(variable):
            environment.problem(variable, f"{_ACCEPTED}; no user and no password stands before the host", "(hidden)")
            continue
        for item in environment.items(variable):
            try:
                member = parse_member(service, item)
                if member.key in members:
                    raise ValueError(f"{member.address} is there already, and its path and weight can only be one")
            except ValueError as error:
                environment.problem(variable, f"{_ACCEPTED} ({printable(item)}: {error})")
            else:
                members[member.key] = member
    return StaticSettings(tuple(members.values()))


def _variables(environment: Environment) -> dict[str, str]:
    """By service, the variable that has its addresses."""
    found: dict[str, str] = {}
    for item in environment.items(_VARIABLES):
        named, _, variable = (part.strip() for part in item.partition("="))
        service = plain_name(named)
        if not (service and variable):
            environment.problem(_VARIABLES, "a comma list of service=VARIABLE, such as wordcloud-usersvc=USERSVC")
        elif service in found:
            environment.problem(_VARIABLES, f"every service once ({printable(service)} is there twice)")
        elif not environment.text(variable):
            environment.problem(variable, f"{_ACCEPTED} ({_VARIABLES} says that {service} is there)")
        else:
            found[service] = variable
    named_elsewhere = {_VARIABLES, *found.values()}
    for variable in environment.names(_PREFIX):
        if variable in named_elsewhere:
            continue
        service = variable.removeprefix(_PREFIX).lower().replace("_", "-")
        if not service:
            environment.problem(variable, f"nothing: the name of a service is missing after {_PREFIX}", "(hidden)")
        elif service in found:
            environment.problem(
                variable, f"nothing: {found[service]} has the addresses of {printable(service)} already", "(hidden)"
            )
        else:
            found[service] = variable
    return found


def parse_member(service: str, text: str) -> Member:
    """One address with its options.

    Raises:
        ValueError: not a URL of http, https or grpc, or an unknown or bad option; the message says what is wrong.
    """
    url, *options = (part.strip() for part in text.split(";"))
    if " " in url or not url.isprintable():
        raise ValueError("a URL has no blanks")
    parts = urlsplit(url)
    if parts.scheme not in _DEFAULT_PORTS:
        raise ValueError(f"the scheme must be one of {', '.join(_DEFAULT_PORTS)}")
    if parts.query or parts.fragment or "@" in parts.netloc:
        raise ValueError("nothing may follow the path, and no user stands before the host")
    if ":" in parts.netloc.partition(":")[2] and not parts.netloc.startswith("["):
        raise ValueError("an IPv6 address stands in brackets")
    port = _DEFAULT_PORTS[parts.scheme] if parts.port is None else parts.port
    return checked_member(
        service, parts.hostname or "", port, scheme=parts.scheme, root_path=parts.path, weight=_weight(options)
    )


def _weight(options: list[str]) -> float:
    weight = 1.0
    for option in options:
        name, _, value = option.partition("=")
        if name.strip() != "weight":
            raise ValueError(f"unknown option {printable(option)}, there is only weight=…")
        try:
            weight = float(value)
        except ValueError:
            weight = -1.0
        if not 0 <= weight <= MAX_WEIGHT:
            raise ValueError(f"the weight must be a number from 0 to {MAX_WEIGHT}, not {printable(value)}")
    return weight
