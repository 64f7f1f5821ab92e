"""Reading YAML as go-doudou flattens it: ``gdd: {mem: {port: 7946}}`` is GDD_MEM_PORT.

The names of the levels are joined by an underscore, in upper case, without dashes. Values stay as they are written, but
for truth values and null; a list of values is a list with commas. Everything under other names than GDD is left alone.

The text is read as a stream of events and no objects are made of it: aliases (330 bytes of them can stand for 11
million values), tags, and more levels or keys than anybody writes by hand are refused before they cost anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from .dotenv import Unreadable
from .sources import PREFIX

__all__ = ["parse_yaml"]

_MOST_LEVELS = 32
_TRUTH = {"yes": "true", "on": "true", "true": "true", "no": "false", "off": "false", "false": "false"}
_BOOL, _NULL = "tag:yaml.org,2002:bool", "tag:yaml.org,2002:null"

_Scalar = tuple[str, int]
"""A value and its line."""


def parse_yaml(text: str, most: int) -> dict[str, str]:
    """The variables of a text.

    Args:
        most: how many keys and items it may have.

    Raises:
        Unreadable: it is no YAML, has more than is accepted, or is no mapping of names.
    """
    loader = yaml.SafeLoader(text)
    try:
        root = _Tree(loader, most).read()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise Unreadable(0 if mark is None else mark.line + 1, error.problem or "no YAML") from None
    except yaml.YAMLError as error:
        raise Unreadable(0, str(error).partition("\n")[0]) from None
    finally:
        loader.dispose()
    found: dict[str, _Scalar] = {}
    if root is not None:
        _flatten(root, "", found)
    return {name: value for name, (value, _) in found.items()}


class _Tree:
    """Mappings as lists of pairs, sequences as lists, scalars as text with their lines."""

    def __init__(self, loader: Any, most: int) -> None:
        self._loader = loader
        self._most = most
        self._count = 0

    def read(self) -> Any:
        """The one document; None if there is none.

        Raises:
            Unreadable: there are several, or the one is no mapping.
        """
        self._loader.get_event()  # the start of the stream
        if self._loader.check_event(yaml.StreamEndEvent):
            return None
        start = self._loader.get_event()
        event = self._loader.get_event()
        if isinstance(event, yaml.ScalarEvent) and not event.value:
            root = None
        elif isinstance(event, yaml.MappingStartEvent):
            root = self._node(event, 1)
        else:
            raise Unreadable(_line(event), "names with values are expected, one below the other")
        self._loader.get_event()  # the end of the document
        if not self._loader.check_event(yaml.StreamEndEvent):
            raise Unreadable(_line(start), "there may be one document only")
        return root

    def _node(self, event: Any, level: int) -> Any:
        line = _line(event)
        if isinstance(event, yaml.AliasEvent):
            raise Unreadable(line, "aliases (*name) are not accepted: write the value again")
        if event.tag is not None:
            raise Unreadable(line, f"tags ({event.tag}) are not accepted")
        if level > _MOST_LEVELS:
            raise Unreadable(line, f"there are more than {_MOST_LEVELS} levels")
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event), line
        items: list[Any] = []
        pairs = isinstance(event, yaml.MappingStartEvent)
        while not self._loader.check_event(yaml.MappingEndEvent, yaml.SequenceEndEvent):
            self._count += 1
            if self._count > self._most:
                raise Unreadable(line, f"there are more than {self._most} keys and items")
            item = self._node(self._loader.get_event(), level + 1)
            items.append((item, self._node(self._loader.get_event(), level + 1)) if pairs else item)
        self._loader.get_event()
        return {"pairs": items, "line": line} if pairs else items

    def _scalar(self, event: Any) -> str:
        value: str = event.value
        tag = self._loader.resolve(yaml.ScalarNode, value, event.implicit)
        if tag == _NULL:
            return ""
        return _TRUTH[value.lower()] if tag == _BOOL else value


def _line(event: Any) -> int:
    line: int = event.start_mark.line
    return line + 1


def _flatten(node: Mapping[str, Any], above: str, found: dict[str, _Scalar]) -> None:
    for key, value in node["pairs"]:
        if not isinstance(key, tuple):
            raise Unreadable(node["line"], "a name is expected before each colon")
        written, line = key
        name = f"{above}{written}".replace("-", "").upper()
        if not (f"{name}_".startswith(PREFIX)):
            continue
        if isinstance(value, dict):
            _flatten(value, f"{name}_", found)
            continue
        text = _listed(value, line) if isinstance(value, list) else value[0]
        if name in found:
            raise Unreadable(line, f"{name} stands there already, in line {found[name][1]}")
        found[name] = (text, line)


def _listed(items: Sequence[Any], line: int) -> str:
    """A list as the variables have it."""
    if not all(isinstance(item, tuple) and "," not in item[0] for item in items):
        raise Unreadable(line, "a list may have values only, without commas in them")
    return ",".join(item[0] for item in items)
