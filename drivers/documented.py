"""What the manual says of a variable: beside each module that reads variables stands a table of these.

`docs/settings.md` is written from the tables, and a test compares them with what is read.
"""

from __future__ import annotations

import re

import attrs

__all__ = ["Documented"]

_LINK = re.compile(r"\[([^]]*)]\([^)]*\)")


@attrs.frozen
class Documented:
    """One variable.

    Attributes:
        name: ``GDD_STATIC_<SERVICE>`` stands for every variable that begins like that.
        default: in Markdown: a value in backticks, or what is taken instead of one; ``–`` for nothing.
        type: ``text``, ``number``, ``duration, s``, ``flag``, ``list``, or the values that are accepted.
        meaning: in Markdown.
        secret: whether its value is never shown.
    """

    name: str
    default: str
    type: str
    meaning: str
    secret: bool = False

    @property
    def plain_default(self) -> str:
        """The default as text; "" for nothing."""
        return "" if self.default == "–" else self.default.replace("`", "")

    @property
    def plain_meaning(self) -> str:
        """The meaning as text."""
        return _LINK.sub(r"\1", self.meaning).replace("`", "")

    def covers(self, name: str) -> bool:
        """Whether this is about the variable `name`."""
        prefix, pattern, _ = self.name.partition("<")
        return name.startswith(prefix) and len(name) > len(prefix) if pattern else name == self.name
