"""Everything that can be set, read once: the variables of the registry, and of every driver that the mode names.

The variables are go-doudou's, with its defaults; where it has two spellings from two eras, both are read, the newer one
first. A value that cannot be used is never replaced by a default: all of them, of the registry and of all drivers, are
reported together, before anything is started.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any, cast

import attrs

from ..drivers.contract import DriverPlugin, FallbackPlugin, ReconfigurablePlugin
from ..drivers.environment import Environment
from ..drivers.errors import SettingsError
from ..drivers.kit.own_address import private_address
from ..drivers.kit.validation import MAX_WEIGHT, Unusable, checked_host, checked_root_path
from ..drivers.members import Compat, Instance
from .plugins import find_plugin, known_plugins
from .unknown_variables import tell_of_unknown_variables

__all__ = ["Settings", "frozen", "named_plugins", "registration"]

logger = logging.getLogger(__name__)

_MODE = "GDD_SERVICE_DISCOVERY_MODE"
_DEFAULT_MODE = "memberlist"
_MAX_NAME_BYTES = 128
_NO_NAME = re.compile(r"[\s/\"'`$<>(){}\[\]\\]|@@")


@attrs.frozen(init=False)
class Settings:
    """What a registry needs to know: read from variables by `from_env`, or said in code.

    ::

        Settings(service="orders", port=8080, seeds=["10.0.0.1", "10.0.0.2:7946"])
        Settings(seeds=["10.0.0.1"])  # no service: a process that only looks
        Settings(service="orders", modes=["nacos"], variables={"GDD_NACOS_SERVER_ADDR": "10.0.0.9:8848"})

    In code the environment of the process does not count; `variables` are for everything that has no argument.

    Args:
        service: the plain name under which others find this process; none registers nothing.
        seeds: where the gossip joins.
        variables: more of them, by name.

    Attributes:
        modes: the drivers to run, in the order in which their data is preferred.
        plugins: what makes the driver, by mode; None finds those of `modes`.
        drivers: what the plugin made of the driver's own variables, by mode.
        register: False joins to look only; then the fields below say nothing.
        service_name: the plain name under which others find this process.
        register_host: the address under which others reach it.
        port: the port of the service itself (not of the gossip), 1 to 65535.
        root_path: what comes before every path, "" or with a leading slash.
        weight: 1 to 10000 for a fixed share of the traffic, 0 for a dynamic one.
        compat: which generations of go-doudou find the service.
        leave_on_sigterm: whether a SIGTERM that nobody else handles has this process leave before it ends it.
        drain_time: seconds for which a process serves on at least when it drains, see `Registry.drain`.

    Raises:
        SettingsError: a value is bad, a mode has no plugin, or there is something to register and no name or host.
    """

    modes: tuple[str, ...]
    plugins: Mapping[str, DriverPlugin] = attrs.field(repr=False, hash=False)
    drivers: Mapping[str, Any] = attrs.field(repr=False, hash=False)
    register: bool = True
    service_name: str = ""
    register_host: str = ""
    port: int = 6060
    root_path: str = ""
    weight: int = 1
    compat: Compat = Compat.BOTH
    leave_on_sigterm: bool = True
    drain_time: float = 2.0

    def __init__(
        self,
        modes: Sequence[str] = (),
        plugins: Mapping[str, DriverPlugin] | None = None,
        drivers: Mapping[str, Any] | None = None,
        *,
        register: bool = True,
        service_name: str = "",
        register_host: str = "",
        port: int = 6060,
        root_path: str = "",
        weight: int = 1,
        compat: Compat = Compat.BOTH,
        leave_on_sigterm: bool = True,
        drain_time: float = 2.0,
        service: str = "",
        seeds: Sequence[str] = (),
        variables: Mapping[str, str] | None = None,
    ) -> None:
        fields: dict[str, Any] = {
            "register": register,
            "service_name": service_name,
            "register_host": register_host,
            "port": port,
            "root_path": root_path,
            "weight": weight,
            "compat": compat,
            "leave_on_sigterm": leave_on_sigterm,
            "drain_time": drain_time,
        }
        if plugins is None:
            fields["service_name"] = service or service_name
            read = Settings.from_env(
                _said_in_code(fields, modes, seeds) | dict(variables or {}), register=bool(service or service_name)
            )
            modes, plugins, drivers = read.modes, read.plugins, read.drivers
            fields = {name: getattr(read, name) for name in fields}
        self.__attrs_init__(tuple(modes), plugins, drivers or {}, **fields)

    def __attrs_post_init__(self) -> None:
        if not self.modes or set(self.modes) - set(self.plugins) or set(self.modes) - set(self.drivers):
            raise SettingsError(f"modes {self.modes}: at least one is needed, each with a plugin and its settings")
        if self.register and not (self.service_name and self.register_host):
            raise SettingsError("service_name and register_host are needed unless register=False")

    @classmethod
    def from_env(cls, env: Mapping[str, str] | None = None, *, register: bool = True) -> Settings:
        """Read and check every variable.

        Args:
            env: the variables, by name; None for those of the process, as they are now.
            register: False for a process that only calls others; it needs no service name.

        Raises:
            SettingsError: names every bad variable, its value and what is accepted.
        """
        environment = Environment(os.environ if env is None else env)
        plugins = named_plugins(environment)
        fields: dict[str, Any] = registration(environment, plugins) if register else {"register": False}
        drivers = {mode: plugin.read_settings(environment) for mode, plugin in plugins.items()}
        environment.check()
        tell_of_unknown_variables(environment, lambda: set(known_plugins()) - set(plugins))
        return cls(modes=tuple(plugins), plugins=MappingProxyType(plugins), drivers=MappingProxyType(drivers), **fields)

    def changed(self, changes: Mapping[str, str]) -> Settings:
        """These settings with some of the drivers' dynamic variables changed; an empty one returns to its default.

        Raises:
            SettingsError: a value is bad, or the variable cannot change while the drivers run.
        """
        environment = Environment(changes)
        dynamic = {
            mode: cast(ReconfigurablePlugin, plugin)
            for mode, plugin in self.plugins.items()
            if mode in self.modes and hasattr(plugin, "dynamic_variables")
        }
        known = frozenset[str]().union(*(plugin.dynamic_variables for plugin in dynamic.values()))
        for name in changes:
            if name not in known:
                listed = ", ".join(sorted(known)) or "none"
                environment.problem(name, f"only at the start; variables that can change while it runs: {listed}")
        drivers = {mode: plugin.changed(self.drivers[mode], environment) for mode, plugin in dynamic.items()}
        environment.check()
        return attrs.evolve(self, drivers=MappingProxyType({**self.drivers, **drivers}))

    def instance(self, data: Mapping[str, Any], registered_at: datetime) -> Instance | None:
        """What is to be registered with the metadata `data`; None if nothing is."""
        if not self.register:
            return None
        return Instance(
            service=self.service_name,
            host=self.register_host,
            port=self.port,
            root_path=self.root_path,
            weight=self.weight,
            data=data,
            registered_at=registered_at,
            compat=self.compat,
        )


def _said_in_code(fields: Mapping[str, Any], modes: Sequence[str], seeds: Sequence[str]) -> dict[str, str]:
    """The same as variables."""
    return {
        _MODE: ",".join((modes,) if isinstance(modes, str) else modes),
        "GDD_SERVICE_NAME": fields["service_name"],
        "GDD_REGISTER_HOST": fields["register_host"],
        "GDD_PORT": str(fields["port"]),
        "GDD_ROUTE_ROOT_PATH": fields["root_path"],
        "GDD_WEIGHT": str(fields["weight"]),
        "GDD_COMPAT": str(fields["compat"]),
        "GDD_LEAVE_ON_SIGTERM": str(fields["leave_on_sigterm"]),
        "GDD_DRAIN_TIME": f"{fields['drain_time']}s",
        "GDD_MEM_SEED": ",".join((seeds,) if isinstance(seeds, str) else seeds),
    }


def named_plugins(environment: Environment) -> dict[str, DriverPlugin]:
    """The plugins that the mode names, in its order."""
    wanted = [item.lower() for item in environment.items(_MODE)] if environment.text(_MODE) else [_DEFAULT_MODE]
    plugins: dict[str, DriverPlugin] = {}
    named = False
    for mode in dict.fromkeys(wanted):
        plugin = find_plugin(mode)
        if plugin is None:
            listed = ", ".join(sorted(known_plugins()))
            logger.warning("%s: there is no mode %r and it is skipped; the known ones are %s", _MODE, mode, listed)
            continue
        named = True
        try:
            plugins[mode] = plugin.load()
        except SettingsError as error:
            environment.problem(_MODE, str(error))
    if not named:
        environment.problem(_MODE, f"a comma list of {', '.join(sorted(known_plugins()))}")
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
    if path.strip("/") != usable.strip("/") or re.search(r"[\s?#]", path):
        environment.problem("GDD_ROUTE_ROOT_PATH", "a path such as /v1, without blanks, '?' and '#'")
    return usable


def _weight(environment: Environment, plugins: Mapping[str, DriverPlugin]) -> int:
    name = _set_variable(environment, "GDD_WEIGHT", plugins)
    return max(0, environment.integer(name, 1, least=-MAX_WEIGHT, most=MAX_WEIGHT))


def frozen(data: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """The metadata as they are now, whatever becomes of `data`; none for None."""
    return MappingProxyType(dict(data or {}))
