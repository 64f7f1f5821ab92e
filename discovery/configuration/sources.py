"""Where the values of variables come from: sources, of which the first one that has a variable counts.

As in go-doudou, a variable that is there but empty hides what later sources say of it, and counts as unset.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import attrs

__all__ = ["CODE", "DEFAULT", "ENVIRONMENT", "PREFIX", "Configuration", "Source"]

PREFIX = "GDD_"
ENVIRONMENT, CODE, DEFAULT = "environment", "code", "default"


@attrs.frozen
class Source:
    """One source.

    Attributes:
        name: ``environment``, ``code``, the name of a file, or ``nacos`` and a data id.
        values: by the names of variables. They may be secret.
    """

    name: str
    values: Mapping[str, str] = attrs.field(repr=False)


@attrs.frozen
class Configuration:
    """All sources, in the order in which they count.

    Attributes:
        directory: where files were looked for; "" if nowhere.
    """

    sources: tuple[Source, ...] = ()
    directory: str = ""

    def values(self) -> dict[str, str]:
        """Every variable with the value that counts."""
        found: dict[str, str] = {}
        for source in reversed(self.sources):
            found.update(source.values)
        return found

    def source_of(self, name: str) -> str:
        """The name of the source whose value of this variable counts; ``default`` if it is unset or empty."""
        for source in self.sources:
            if name in source.values:
                return source.name if source.values[name].strip() else DEFAULT
        return DEFAULT

    def file_of(self, name: str) -> str:
        """The source of this variable if it has to be named, where a value stands that nobody can see from outside."""
        source = self.source_of(name)
        return "" if source in (ENVIRONMENT, CODE, DEFAULT) else source

    def in_code(self, name: str) -> bool:
        """Whether the program itself has said it, be it with an empty value."""
        return bool(self.sources) and self.sources[0].name == CODE and name in self.sources[0].values

    def changed(self, changes: Mapping[str, str]) -> Configuration:
        """With what a program has changed since, which counts before everything else."""
        sources, said = self.sources, dict(changes)
        if sources and sources[0].name == CODE:
            sources, said = sources[1:], {**sources[0].values, **changes}
        return attrs.evolve(self, sources=(Source(CODE, said), *sources))

    def limited(self, names: Collection[str]) -> Configuration:
        """Only what is ours, or was asked for: the environment of a process has more in it, which is nobody's here."""
        kept = (
            Source(source.name, {name: value for name, value in source.values.items() if _ours(name, names)})
            for source in self.sources
        )
        return attrs.evolve(self, sources=tuple(kept))


def _ours(name: str, names: Collection[str]) -> bool:
    return name.startswith(PREFIX) or name in names
