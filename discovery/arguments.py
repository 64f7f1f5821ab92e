"""Arguments that cannot work are refused where they are given, by name, and not by whoever stumbles over them later."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["checked_mapping", "checked_service", "checked_variables"]


def checked_service(service: Any) -> str:
    """`service`, if it can be the name of a service.

    Raises:
        TypeError: it is no text, or empty.
    """
    if not isinstance(service, str) or not service:
        raise TypeError(f"service is {service!r}; accepted: the name of a service")
    return service


def checked_mapping(name: str, value: Any) -> None:
    """Nothing, if the argument of that name is a mapping.

    Raises:
        TypeError: it is none.
    """
    if not isinstance(value, Mapping):
        raise TypeError(f"{name} is a {type(value).__name__}; accepted: a mapping, such as a dict")


def checked_variables(name: str, variables: Any) -> Mapping[str, str]:
    """The argument of that name, if it is text by names.

    Raises:
        TypeError: it is not.
    """
    checked_mapping(name, variables)
    for variable, value in variables.items():
        if not isinstance(variable, str):
            raise TypeError(f"{name} has the key {variable!r}; accepted: names of variables")
        if not isinstance(value, str):
            raise TypeError(
                f"{name}[{variable!r}] is a {type(value).__name__}; accepted: text, as environments have it"
            )
    checked: Mapping[str, str] = variables
    return checked
