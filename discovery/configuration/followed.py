"""Configuration that a server keeps, read once at the start of a registry and followed while it runs.

A server decides only what may change while a process runs, and nothing by which the process finds others, is found by
them, or proves who it is: an operator of the server shall not be able to lead it elsewhere. So of every text the
variables of the list (`may_change`) are taken, as the last source of all: what the environment or a file says stays.
Values that cannot be used are refused one by one, and the ones before them stay.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any

import attrs

from ...drivers.errors import SettingsError
from ...drivers.kit.log_fields import fields
from ...drivers.kit.validation import escaped
from ...drivers.members import DriverStatus
from .files import parsed
from .remote import Remote
from .sources import Configuration, Source

if TYPE_CHECKING:
    from anyio.abc import TaskStatus

__all__ = ["Followed", "RemoteStatus", "without_remote"]

logger = logging.getLogger(__name__)

_MOST_REFUSED = 100
_ATTEMPTS = 10


def without_remote(configuration: Configuration, remote: Remote) -> Configuration:
    """The sources besides the texts."""
    return attrs.evolve(
        configuration, sources=tuple(source for source in configuration.sources if not remote.is_source(source))
    )


@attrs.frozen
class RemoteStatus:
    """How the remote configuration is doing.

    Attributes:
        kind: ``nacos``.
        connected: whether it can be asked at present; if not, what it said last holds.
        message: one line for a person.
        names: of the texts that there are.
        refused: what of it is not used, and why; no values.
    """

    kind: str
    connected: bool
    message: str
    names: tuple[str, ...]
    refused: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """All fields, as JSON takes them."""
        return {
            **attrs.asdict(self, filter=attrs.filters.exclude("names", "refused")),
            "names": list(self.names),
            "refused": list(self.refused),
        }


class Followed:
    """The remote configuration of a registry that runs, on the event loop of its drivers.

    Args:
        may_change: the variables that it may set.
        present: the configuration in force.
        go_on: goes on with another one, or raises `SettingsError`: its `problems` tell of which variables.
        heard: hears the texts, once what can be used of them is in force.
    """

    def __init__(
        self,
        remote: Remote,
        may_change: Collection[str],
        present: Callable[[], Configuration],
        go_on: Callable[[Configuration], Awaitable[None]],
        heard: Callable[[Mapping[str, str | None]], None] = lambda _: None,
    ) -> None:
        self._remote = remote
        self._may_change = may_change
        self._present = present
        self._go_on = go_on
        self._heard = heard
        self._source = remote.source()
        self._good: dict[str, dict[str, str]] = {}
        self._refused: tuple[str, ...] = ()
        self._names: tuple[str, ...] = ()

    async def run(self, *, task_status: TaskStatus[None]) -> None:
        """As `ConfigurationSource.follow`."""
        await self._source.follow(self.told, task_status=task_status)

    def status(self) -> RemoteStatus:
        """Quick, from any thread."""
        source: DriverStatus = self._source.status()
        return RemoteStatus(self._remote.kind, source.ready, source.message, self._names, self._refused)

    async def told(self, texts: Mapping[str, str | None]) -> None:
        """Go on with what can be used of these texts."""
        refused: list[str] = []
        wanted: dict[str, dict[str, str]] = {}
        for name, text in texts.items():
            wanted[name] = self._usable(name, text, refused)
        for _ in range(_ATTEMPTS):
            try:
                await self._go_on(self._with(wanted))
            except SettingsError as error:
                if not self._take_back(wanted, error, refused):
                    break
            except Exception as error:  # a driver or a backend does not want it: whatever that raises, it goes on
                refused.append(f"{type(error).__name__}: {error}")
                break
            else:
                self._good = wanted
                break
        self._names = tuple(name for name, text in texts.items() if text is not None)
        self._tell(refused)
        self._heard(texts)

    def _usable(self, name: str, text: str | None, refused: list[str]) -> dict[str, str]:
        """What a text says that may be said."""
        if text is None:
            return {}
        try:
            said = parsed(f"{self._remote.kind} {name}", text, self._remote.format)
        except SettingsError as error:
            refused.append(str(error))
            return self._good.get(name, {})
        others = sorted(said.keys() - self._may_change)
        if others:
            refused.append(f"{escaped(', '.join(others))} of {name}: nothing that a server may decide")
        before = without_remote(self._present(), self._remote).values()
        refused += [
            f"{hidden} of {name}: not used, for {self._present().source_of(hidden)} has it"
            for hidden in sorted(said.keys() & self._may_change & before.keys())
        ]
        return {variable: value for variable, value in said.items() if variable in self._may_change}

    def _with(self, wanted: Mapping[str, Mapping[str, str]]) -> Configuration:
        """The present configuration with these texts as its last sources."""
        local = without_remote(self._present(), self._remote)
        texts = (Source(f"{self._remote.kind} {name}", values) for name, values in wanted.items())
        return attrs.evolve(local, sources=(*local.sources, *texts))

    def _take_back(self, wanted: dict[str, dict[str, str]], error: SettingsError, refused: list[str]) -> bool:
        """Put the value before in the place of each that is a problem; whether that changes anything."""
        changed = False
        if not error.problems:
            refused.append(str(error))
        for problem in error.problems:
            refused.append(str(problem))
            for name, values in wanted.items():
                before = self._good.get(name, {}).get(problem.name)
                if values.get(problem.name) != before:
                    changed = True
                    values.pop(problem.name, None)
                    if before is not None:
                        values[problem.name] = before
        return changed

    def _tell(self, refused: list[str]) -> None:
        unique = tuple(dict.fromkeys(refused))[:_MOST_REFUSED]
        for each in unique:
            if each not in self._refused:
                logger.warning(
                    "the configuration of %s is not used as it is: %s",
                    self._remote.kind,
                    each,
                    extra=fields(backend=self._remote.kind, reason=each),
                )
        self._refused = unique
