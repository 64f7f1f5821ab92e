"""Reading all variables once: the registry's own, and those of every driver that the mode names."""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Mapping
from typing import Any, cast

import attrs

from ...drivers.contract import DriverPlugin, FallbackPlugin
from ...drivers.environment import Environment, is_filled_in
from ...drivers.errors import SettingsError
from ...drivers.kit.log_fields import fields
from ...drivers.kit.own_address import private_address
from ...drivers.kit.validation import MAX_WEIGHT, Unusable, checked_host, checked_root_path, printable
from ...drivers.members import Compat
from ..log_level import VARIABLE as LOG_LEVEL
from ..log_level import read_log_level
from ..plugins import find_plugin, known_plugins
from ..unknown_variables import OF_A_SERVICE, tell_of_unknown_variables, unknown_variables
from .call_defaults import VARIABLES as OF_CALLS
from .call_defaults import read_call_defaults
from .named_env import named_env
from .remote import read_remote
from .sources import Configuration

__all__ = [
    "MODE",
    "OF_WEIGHT",
    "OWN_DYNAMIC",
    "Reading",
    "changed_fields",
    "named_plugins",
    "own_fields",
    "read",
    "registration",
]

logger = logging.getLogger(__name__)

_USER, _PASS = "GDD_MANAGE_USER", "GDD_MANAGE_PASS"
_WEIGHT, _MEM_WEIGHT = "GDD_WEIGHT", "GDD_MEM_WEIGHT"
MODE = "GDD_SERVICE_DISCOVERY_MODE"
_DEFAULT_MODE = "memberlist"
_MAX_NAME_BYTES = 128
_NO_NAME = re.compile(r"[\s/\"'`$<>(){}\[\]\\]|@@")


@attrs.frozen
class Reading:
    """What was read, and what is wrong with it.

    Attributes:
        configuration: the sources of the values.
        values: the values that count.
        environment: with the problems that were found.
        plugins: what makes the drivers, by mode.
        drivers: what the plugins made of their variables, by mode.
        fields: the other fields of `Settings`.
    """

    configuration: Configuration
    values: Mapping[str, str] = attrs.field(repr=False)
    environment: Environment
    plugins: Mapping[str, DriverPlugin]
    drivers: Mapping[str, Any] = attrs.field(repr=False)
    fields: Mapping[str, Any] = attrs.field(repr=False)

    def unknown(self) -> dict[str, str | None]:
        """See `unknown_variables`."""
        return unknown_variables(self.environment, self._other_modes)

    def tell_of_unknown(self) -> None:
        """Warn of what is misspelt."""
        tell_of_unknown_variables(self.environment, self._other_modes)

    def concerns(self, name: str) -> bool:
        """Whether a process that is set like this one reads this variable of ours."""
        return self.fields["register"] or name not in OF_A_SERVICE

    def _other_modes(self) -> set[str]:
        return set(known_plugins()) - set(self.plugins)


def read(configuration: Configuration, *, register: bool) -> Reading:
    """Read every variable; what is wrong is recorded, and not raised.

    Args:
        register: False for a process that only calls others, and reads nothing of what is registered.
    """
    values = configuration.values()
    environment = Environment(values, configuration.file_of)
    plugins = named_plugins(environment)
    fields: dict[str, Any] = {"register": register, **own_fields(environment)}
    if register:
        fields.update(registration(environment, plugins))
    drivers = {mode: plugin.read_settings(environment) for mode, plugin in plugins.items()}
    return Reading(configuration.limited(environment.known), values, environment, plugins, drivers, fields)


def own_fields(environment: Environment) -> dict[str, Any]:
    """The fields of `Settings` that every process has, whether it registers anything or not."""
    named_env(environment)
    user, password = _credentials(environment)
    return {
        "manage_user": user,
        "manage_pass": password,
        "calls": read_call_defaults(environment),
        "log_level": read_log_level(environment),
        "remote": read_remote(environment),
    }


def _credentials(environment: Environment) -> tuple[str, str]:
    user, password = environment.text(_USER), environment.text(_PASS)
    if bool(user) != bool(password):
        environment.problem(_PASS if user else _USER, f"a value, because {_USER if user else _PASS} is set")
    return user, password


_OF_CREDENTIALS = frozenset({_USER, _PASS})
OF_WEIGHT = frozenset({_WEIGHT, _MEM_WEIGHT})
OWN_DYNAMIC = _OF_CREDENTIALS | OF_WEIGHT | OF_CALLS | {LOG_LEVEL}
"""The registry's own variables that may change while it runs."""


def changed_fields(
    environment: Environment, changes: Collection[str], plugins: Mapping[str, DriverPlugin], present: Mapping[str, Any]
) -> dict[str, Any]:
    """Those fields of `Settings` that the registry's own variables among `changes` are about.

    Args:
        environment: with the changes, and with all that was set before.
        present: the fields as they are.
    """
    fields: dict[str, Any] = {}
    if not _OF_CREDENTIALS.isdisjoint(changes):
        fields["manage_user"], fields["manage_pass"] = _credentials(environment)
    if not OF_CALLS.isdisjoint(changes):
        fields["calls"] = read_call_defaults(environment)
    if LOG_LEVEL in changes:
        fields["log_level"] = read_log_level(environment)
    if present["register"] and not OF_WEIGHT.isdisjoint(changes):
        fields["weight"] = weight = _weight(environment, plugins)
        if bool(weight) != bool(present["weight"]):
            environment.problem(
                _set_variable(environment, _WEIGHT, plugins),
                "at run time another weight of the same kind: fixed (1 or more) or dynamic (0 or less)",
            )
    return fields


def named_plugins(environment: Environment) -> dict[str, DriverPlugin]:
    """The plugins that the mode names, in its order."""
    wanted = [item.lower() for item in environment.items(MODE)] if environment.text(MODE) else [_DEFAULT_MODE]
    plugins: dict[str, DriverPlugin] = {}
    named = False
    for mode in dict.fromkeys(wanted):
        plugin = find_plugin(mode)
        if plugin is None:
            listed = ", ".join(sorted(known_plugins()))
            logger.warning(
                "%s: there is no mode %s and it is skipped; the known ones are %s",
                MODE,
                printable(mode),
                listed,
                extra=fields(backend=mode),
            )
            continue
        named = True
        try:
            plugins[mode] = plugin.load()
        except SettingsError as error:
            environment.problem(MODE, str(error))
    if not named:
        environment.problem(MODE, f"a comma list of {', '.join(sorted(known_plugins()))}")
    return plugins


def registration(environment: Environment, plugins: Mapping[str, DriverPlugin]) -> dict[str, Any]:
    """The fields of `Settings` that say what is registered."""
    return {
        "service_name": _service_name(environment),
        "register_host": _register_host(environment, plugins),
        "port": environment.integer("GDD_PORT", 6060, least=1, most=65535),
        "root_path": _root_path(environment),
        "weight": _weight(environment, plugins),
        "compat": environment.choice("GDD_COMPAT", Compat.BOTH),
        "leave_on_sigterm": environment.flag("GDD_LEAVE_ON_SIGTERM", True),
        "drain_time": environment.duration("GDD_DRAIN_TIME", 2.0, positive=False),
    }


def _service_name(environment: Environment) -> str:
    name = environment.text("GDD_SERVICE_NAME")
    if not name:
        environment.problem(
            "GDD_SERVICE_NAME",
            "the name under which others find this service; "
            "a process that only calls others needs none: new_node(register=False)",
        )
    elif len(name.encode()) > _MAX_NAME_BYTES or not name.isprintable() or _NO_NAME.search(name):
        environment.problem(
            "GDD_SERVICE_NAME", f"up to {_MAX_NAME_BYTES} bytes without blanks, quotes, '/', '@@', '$' and brackets"
        )
    return name


def _set_variable(environment: Environment, name: str, plugins: Mapping[str, DriverPlugin]) -> str:
    """The variable itself, or if it is not set the one of a driver that stands in for it and is."""
    fallbacks = [
        cast(FallbackPlugin, plugin).fallbacks(environment).get(name, name)
        for plugin in plugins.values()
        if hasattr(plugin, "fallbacks")
    ]
    called_alike = name.removeprefix("GDD_")
    fallbacks.sort(key=lambda fallback: not fallback.endswith(called_alike))
    return next((variable for variable in (name, *fallbacks) if environment.text(variable)), name)


def _register_host(environment: Environment, plugins: Mapping[str, DriverPlugin]) -> str:
    """The address of the service."""
    name = _set_variable(environment, "GDD_REGISTER_HOST", plugins)
    host = environment.text(name)
    if not host:
        return private_address()
    try:
        return checked_host(host.removeprefix("[").removesuffix("]"))
    except Unusable:
        environment.problem(name, "an IP address or a host name")
        return ""


def _root_path(environment: Environment) -> str:
    """With one slash in front and none behind: Go clients append it to the address as it stands."""
    path = environment.text("GDD_ROUTE_ROOT_PATH")
    try:
        usable = checked_root_path(path)
    except Unusable:
        usable = ""
    if path.strip("/") != usable.strip("/") or re.search(r"[\s?#\\]|://", path) or not is_filled_in(path):
        environment.problem("GDD_ROUTE_ROOT_PATH", "a path such as /v1, without blanks, quotes around it, '?' and '#'")
    return usable


def _weight(environment: Environment, plugins: Mapping[str, DriverPlugin]) -> int:
    name = _set_variable(environment, _WEIGHT, plugins)
    return max(0, environment.integer(name, 1, least=-MAX_WEIGHT, most=MAX_WEIGHT))
