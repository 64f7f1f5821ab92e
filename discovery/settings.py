"""Everything that can be set, read once: the variables of the registry, and of every driver that the mode names.

The variables are go-doudou's, with its defaults; where it has two spellings from two eras, both are read, the newer one
first. A value that cannot be used is never replaced by a default: all of them, of the registry and of all drivers, are
reported together, before anything is started.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from importlib import import_module
from types import MappingProxyType, ModuleType
from typing import Any, cast

import attrs

from ..drivers.contract import DescribingPlugin, DriverPlugin, ReconfigurablePlugin
from ..drivers.environment import Environment
from ..drivers.errors import SettingsError
from ..drivers.members import Compat, Instance
from .arguments import checked_service, checked_variables
from .configuration.call_defaults import CallDefaults
from .configuration.loading import load_configuration
from .configuration.reading import MODE, OWN_DYNAMIC, Reading, changed_fields, read
from .configuration.remote import Remote
from .configuration.sources import CODE, ENVIRONMENT, Configuration, Source

__all__ = ["Settings", "frozen"]


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
        manage_user: who may see the registry page; "" together with `manage_pass`: whoever asks from this machine.
        calls: how far a call goes whose client was given no policy.
        log_level: of this library's log, as `logging` has it; None leaves it as it is.
        remote: a server that keeps configuration, which is followed while the registry runs.
        configuration: where each value came from.

    Raises:
        SettingsError: a value is bad, a mode has no plugin, or there is something to register and no name or host.
        TypeError: `service` or one of `seeds` is no text, or `calls` are no `CallDefaults`.
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
    manage_user: str = attrs.field(default="", repr=False)
    manage_pass: str = attrs.field(default="", repr=False)
    calls: CallDefaults = attrs.field(factory=CallDefaults)
    log_level: int | None = None
    remote: Remote | None = None
    configuration: Configuration = attrs.field(default=Configuration(), repr=False, eq=False)

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
        manage_user: str = "",
        manage_pass: str = "",
        calls: CallDefaults | None = None,
        log_level: int | None = None,
        remote: Remote | None = None,
        configuration: Configuration | None = None,
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
            "manage_user": manage_user,
            "manage_pass": manage_pass,
            "calls": calls or CallDefaults(),
            "log_level": log_level,
            "remote": remote,
            "configuration": configuration or Configuration(),
        }
        if plugins is None:
            if service or service_name:
                fields["service_name"] = checked_service(service or service_name)
            more = checked_variables("variables", variables or {})
            said = Source(CODE, _said_in_code(fields, modes, seeds) | dict(more))
            found = Settings.of(read(Configuration((said,)), register=register and bool(fields["service_name"])))
            modes, plugins, drivers = found.modes, found.plugins, found.drivers
            unspoken = _without_variables(calls, log_level, remote)
            fields = {name: getattr(found, name) for name in fields} | unspoken
        self.__attrs_init__(tuple(modes), plugins, drivers or {}, **fields)

    def __attrs_post_init__(self) -> None:
        if not self.modes or set(self.modes) - set(self.plugins) or set(self.modes) - set(self.drivers):
            raise SettingsError(f"modes {self.modes}: at least one is needed, each with a plugin and its settings")
        if self.register and not (self.service_name and self.register_host):
            raise SettingsError("service_name and register_host are needed unless register=False")

    def __reduce__(self) -> tuple[Any, ...]:
        # A child process may be given them. A mapping proxy cannot be pickled, nor a module, which most plugins are.
        fields = {name: getattr(self, name) for name in attrs.fields_dict(Settings)}
        modules = {mode: plugin.__name__ for mode, plugin in self.plugins.items() if isinstance(plugin, ModuleType)}
        fields["plugins"] = {mode: plugin for mode, plugin in self.plugins.items() if mode not in modules}
        fields["drivers"] = dict(self.drivers)
        return _remade, (fields, modules)

    @classmethod
    def from_env(cls, env: Mapping[str, str] | None = None, *, register: bool = True) -> Settings:
        """Read and check every variable.

        Args:
            env: the variables, by name; None for those of the process, as they are now.
            register: False for a process that only calls others; it needs no service name.

        Raises:
            SettingsError: names every bad variable, its value and what is accepted.
        """
        source = Source(ENVIRONMENT, os.environ if env is None else checked_variables("env", env))
        return cls.of(read(Configuration((source,)), register=register))

    @classmethod
    def load(
        cls,
        env: Mapping[str, str] | None = None,
        *,
        directory: str | os.PathLike[str] | None = None,
        register: bool = True,
    ) -> Settings:
        """As `from_env`, with the files that go-doudou reads: what the environment does not say,
        ``app-{env}-local.yml`` may, and so on to ``.env``. Nothing is put into the environment of the process.

        Args:
            directory: where the files are; None for the current folder.

        Raises:
            SettingsError: as `from_env`; or a file cannot be read, and the message names it and the line.
        """
        variables = os.environ if env is None else checked_variables("env", env)
        return cls.of(read(load_configuration(variables, directory), register=register))

    @classmethod
    def of(cls, reading: Reading) -> Settings:
        """What was read.

        Raises:
            SettingsError: as `from_env`.
        """
        reading.environment.check()
        reading.tell_of_unknown()
        plugins, drivers = MappingProxyType(dict(reading.plugins)), MappingProxyType(dict(reading.drivers))
        return cls(tuple(plugins), plugins, drivers, configuration=reading.configuration, **reading.fields)

    def changed(self, changes: Mapping[str, str]) -> Settings:
        """These settings with some of the dynamic variables changed; an empty one returns to its default.

        Raises:
            SettingsError: a value is bad, or the variable cannot change while the drivers run.
        """
        return self._changed(changes, self.configuration.changed(checked_variables("changes", changes)))

    def configured(self, configuration: Configuration) -> Settings:
        """These settings with the dynamic variables as they are in another configuration.

        Raises:
            SettingsError: a value is bad.
        """
        before, after = self.configuration.values(), configuration.values()
        names = {name for name in self.dynamic_variables() if before.get(name, "") != after.get(name, "")}
        return self._changed({name: after.get(name, "") for name in names}, configuration)

    def dynamic_variables(self) -> frozenset[str]:
        """What may change while a registry with these settings runs."""
        return OWN_DYNAMIC.union(*(plugin.dynamic_variables for plugin in self._dynamic_plugins().values()))

    def remote_variables(self) -> frozenset[str]:
        """What of it a server may decide: no keys, nor anything of which a driver does not say that it is none."""
        described = (
            cast(DescribingPlugin, plugin).documented
            for plugin in self._dynamic_plugins().values()
            if hasattr(plugin, "documented")
        )
        open_to_see = {row.name for rows in described for row in rows if not row.secret}
        return self.dynamic_variables() & (OWN_DYNAMIC | open_to_see)

    def _changed(self, changes: Mapping[str, str], configuration: Configuration) -> Settings:
        environment = Environment({**configuration.values(), **changes}, configuration.file_of)
        own = {name: getattr(self, name) for name in ("register", "weight")}
        fields = changed_fields(environment, changes.keys(), self.plugins, own)
        of_drivers = Environment(changes, configuration.file_of, configuration.in_code)
        known = self.dynamic_variables()
        for name in changes:
            if name not in known:
                listed = ", ".join(sorted(known)) or "none"
                of_drivers.problem(name, f"only at the start; variables that can change while it runs: {listed}")
        drivers = {
            mode: plugin.changed(self.drivers[mode], of_drivers) for mode, plugin in self._dynamic_plugins().items()
        }
        of_drivers.problems += environment.problems
        of_drivers.check()
        return attrs.evolve(
            self, drivers=MappingProxyType({**self.drivers, **drivers}), configuration=configuration, **fields
        )

    def _dynamic_plugins(self) -> dict[str, ReconfigurablePlugin]:
        return {
            mode: cast(ReconfigurablePlugin, plugin)
            for mode, plugin in self.plugins.items()
            if mode in self.modes and hasattr(plugin, "dynamic_variables")
        }

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


_VARIABLES = {
    "service_name": "GDD_SERVICE_NAME",
    "register_host": "GDD_REGISTER_HOST",
    "port": "GDD_PORT",
    "root_path": "GDD_ROUTE_ROOT_PATH",
    "weight": "GDD_WEIGHT",
    "compat": "GDD_COMPAT",
    "leave_on_sigterm": "GDD_LEAVE_ON_SIGTERM",
    "drain_time": "GDD_DRAIN_TIME",
    "manage_user": "GDD_MANAGE_USER",
    "manage_pass": "GDD_MANAGE_PASS",
}
"""The variables of those fields that have an argument."""


def _said_in_code(fields: Mapping[str, Any], modes: Sequence[str], seeds: Sequence[str]) -> dict[str, str]:
    """The arguments that are not as they were, as variables."""
    defaults = attrs.fields_dict(Settings)
    said = {
        variable: str(fields[name]) for name, variable in _VARIABLES.items() if fields[name] != defaults[name].default
    }
    for argument, variable, listed in (("modes", MODE, modes), ("seeds", "GDD_MEM_SEED", seeds)):
        if not listed:
            continue
        items = (listed,) if isinstance(listed, str) else tuple(listed)
        for item in items:
            if not isinstance(item, str):
                raise TypeError(f"{argument} has {item!r}; accepted: text, as {variable} has it")
        said[variable] = ",".join(items)
    return said


def _without_variables(calls: CallDefaults | None, log_level: int | None, remote: Remote | None) -> dict[str, Any]:
    """Those of the fields that were given and that are no text: they count as they are."""
    if calls is not None and not isinstance(calls, CallDefaults):
        raise TypeError(f"calls is a {type(calls).__name__}; accepted: CallDefaults")
    if log_level is not None and type(log_level) is not int:
        raise TypeError(f"log_level is {log_level!r}; accepted: a level of logging, such as logging.INFO")
    given = {"calls": calls, "log_level": log_level, "remote": remote}
    return {name: value for name, value in given.items() if value is not None}


def _remade(fields: dict[str, Any], modules: dict[str, str]) -> Settings:
    """Settings that were pickled or copied."""
    plugins = fields["plugins"] | {mode: import_module(name) for mode, name in modules.items()}
    drivers = MappingProxyType(fields["drivers"])
    return Settings(**{**fields, "plugins": MappingProxyType(plugins), "drivers": drivers})


def frozen(data: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """The metadata as they are now, whatever becomes of `data`; none for None."""
    return MappingProxyType(dict(data or {}))
