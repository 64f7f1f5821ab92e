"""The variables of the static driver.

``GDD_STATIC_<SERVICE>`` lists the addresses of a service:
``http://10.0.0.1:8080/api;weight=2,http://10.0.0.2:8080``. The service's name is the rest of the variable's name in
lower case, with ``-`` for ``_``: ``GDD_STATIC_USER_SVC`` is ``user-svc``.

go-doudou's generated clients read one address each from a variable of any name (``USERSVC``).
``GDD_STATIC_VARIABLES`` says which of them belongs to which service:
``wordcloud-usersvc=USERSVC,wordcloud-seg=WORDCLOUDSEG``.
"""

from __future__ import annotations

from urllib.parse import urlsplit

import attrs

from ..contract import Member
from ..environment import Environment

__all__ = ["StaticSettings", "parse_member", "read_settings"]

_PREFIX = "GDD_STATIC_"
_VARIABLES = "GDD_STATIC_VARIABLES"
_ACCEPTED = "a comma list of URLs such as http://10.0.0.1:8080/api;weight=2"
_DEFAULT_PORTS = {"http": 80, "https": 443}


@attrs.frozen
class StaticSettings:
    """The members of all services, in the order in which they are listed."""

    members: tuple[Member, ...] = ()


def read_settings(environment: Environment) -> StaticSettings:
    """Read every address; bad ones are recorded on `environment`."""
    sources = {name.removeprefix(_PREFIX).lower().replace("_", "-"): name for name in environment.names(_PREFIX)}
    sources.pop("variables", None)
    for item in environment.items(_VARIABLES):
        service, named, variable = item.partition("=")
        if not (service.strip() and named and variable.strip()):
            environment.problem(_VARIABLES, "a comma list of service=VARIABLE, such as wordcloud-usersvc=USERSVC")
        elif not environment.text(variable.strip()):
            environment.problem(variable.strip(), f"{_ACCEPTED} ({_VARIABLES} says that {service.strip()} is there)")
        else:
            sources[service.strip()] = variable.strip()
    members: list[Member] = []
    for service, variable in sources.items():
        for item in environment.items(variable):
            try:
                members.append(parse_member(service, item))
            except ValueError as error:
                environment.problem(variable, f"{_ACCEPTED} ({item!r}: {error})")
    return StaticSettings(tuple(members))


def parse_member(service: str, text: str) -> Member:
    """One address with its options.

    Raises:
        ValueError: not an http or https URL, or an unknown or bad option; the message says what is wrong.
    """
    url, *options = (part.strip() for part in text.split(";"))
    weight = 1.0
    for option in options:
        name, _, value = option.partition("=")
        if name != "weight":
            raise ValueError(f"unknown option {option!r}, there is only weight=…")
        weight = float(value)
        if not 0 <= weight <= 10_000:
            raise ValueError("the weight must be from 0 to 10000")
    parts = urlsplit(url)
    if parts.scheme not in _DEFAULT_PORTS:
        raise ValueError("the scheme must be http or https")
    if not parts.hostname:
        raise ValueError("no host")
    if parts.query or parts.fragment or parts.username:
        raise ValueError("nothing may follow the path, and no user stands before the host")
    return Member(
        service,
        parts.hostname,
        parts.port or _DEFAULT_PORTS[parts.scheme],
        parts.scheme,
        parts.path.rstrip("/"),
        weight,
    )
