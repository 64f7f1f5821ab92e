"""Reading ``.env`` files as go-doudou's reader (godotenv) does, but for what is a mistake in it or hides one.

A statement is a name, ``=`` or ``:``, and a value. Single quotes take it literally, double quotes know ``\\n``, ``\\r``
and ``\\"``, both may span lines, and without quotes a value ends at the end of the line or at `` #``. ``$A`` and
``${A}`` in a value that is not in single quotes are replaced by what the same file said of A before.

python-dotenv was not taken: it does not know ``$A`` and ``A: 1``, and leaves out what it cannot read. Where this reader
differs from godotenv is a table in docs/settings.md, of which every row is a test.
"""

from __future__ import annotations

import re

from .sources import PREFIX

__all__ = ["Unreadable", "parse_dotenv"]

_BLANKS = " \t\v\f\r\x85\xa0"
_SKIPPED = re.compile(r"(?:\s+|#[^\n]*)*")
_NAME = re.compile(rf"(?:export[{_BLANKS}]+)?([A-Za-z0-9_.]+)[{_BLANKS}]*[=:][{_BLANKS}]*")
_QUOTED = {'"': re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL), "'": re.compile(r"'((?:[^'\\]|\\.)*)'", re.DOTALL)}
_AFTER_QUOTES = re.compile(rf"[{_BLANKS}]*(?:#[^\n]*)?(?:\n|\Z)")
_COMMENT = re.compile(rf"[{_BLANKS}]#")
_ESCAPED = re.compile(r"\\([^$])", re.DOTALL)
_ESCAPES = {"n": "\n", "r": "\r"}
_REFERENCE = re.compile(r"\\\$|\$\{([^}\n]*)\}|\$([A-Z_][A-Z0-9_]*)")
_MOST_GROWN = 1_000_000
"""Without a bound thirty lines that double each other make a gigabyte."""


class Unreadable(ValueError):
    """A text that cannot be read; the message says why, and never what a value is.

    Attributes:
        line: where, from 1; 0 for nowhere in particular.
    """

    def __init__(self, line: int, why: str) -> None:
        super().__init__(why)
        self.line = line


def parse_dotenv(text: str, most: int) -> dict[str, str]:
    """The variables of a text.

    Args:
        most: how many there may be.

    Raises:
        Unreadable: it is no such text.
    """
    return _Reader(text.replace("\r\n", "\n").replace("\r", "\n"), most).read()


class _Reader:
    def __init__(self, text: str, most: int) -> None:
        self._text = text
        self._most = most
        self._found: dict[str, str] = {}
        self._line = 1
        self._grown = 0

    def read(self) -> dict[str, str]:
        text, position = self._text, self._after_blanks(0)
        while position < len(text):
            self._line = text.count("\n", 0, position) + 1
            named = _NAME.match(text, position)
            if named is None:
                raise Unreadable(self._line, "a name and = or : are expected")
            name = named[1]
            self._found[name], position = self._value(named.end(), strict=name.startswith(PREFIX))
            if len(self._found) > self._most:
                raise Unreadable(self._line, f"there are more than {self._most} variables")
            position = self._after_blanks(position)
        return self._found

    def _after_blanks(self, position: int) -> int:
        skipped = _SKIPPED.match(self._text, position)
        return position if skipped is None else skipped.end()

    def _value(self, start: int, *, strict: bool) -> tuple[str, int]:
        """The value that begins at `start`, and where it ends."""
        text, quote = self._text, self._text[start : start + 1]
        if quote not in _QUOTED:
            end = text.find("\n", start)
            end = len(text) if end < 0 else end
            value = text[start:end]
            comment = _COMMENT.search(value)
            value = value[: comment.start()] if comment else value
            return self._expanded(value.strip(_BLANKS), strict), end
        quoted = _QUOTED[quote].match(text, start)
        if quoted is None:
            raise Unreadable(self._line, f"the quote {quote} is not closed")
        end = quoted.end()
        if not _AFTER_QUOTES.match(text, end):
            line = text.count("\n", 0, end) + 1
            raise Unreadable(line, "nothing but a comment may follow the closing quote")
        if quote == "'":
            return quoted[1], end
        value = _ESCAPED.sub(lambda escaped: _ESCAPES.get(escaped[1], escaped[1]), quoted[1])
        return self._expanded(value, strict), end

    def _expanded(self, value: str, strict: bool) -> str:
        def expand(reference: re.Match[str]) -> str:
            if reference[0] == r"\$":
                return "$"
            name = reference[2] if reference[1] is None else reference[1]
            if name in self._found:
                self._grown += len(self._found[name])
                if self._grown > _MOST_GROWN:
                    raise Unreadable(self._line, f"more than {_MOST_GROWN} characters are put in for names with a $")
                return self._found[name]
            if strict:
                raise Unreadable(
                    self._line,
                    "a $ and a name that this file has not given a value before; a $ of its own is written \\$",
                )
            return ""

        return _REFERENCE.sub(expand, value)
