"""The files that go-doudou reads, in its order: ``app-{env}-local.yml`` to ``app.yml``, then ``.env.{env}.local`` to
``.env``.

Only variables that begin with GDD_ are taken from them, and they go nowhere but into the settings: a file is not the
environment of the process, which its children inherit. A file that is there and cannot be read is an error.
"""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from ...drivers.errors import SettingsError
from ...drivers.kit.validation import escaped
from .dotenv import Unreadable, parse_dotenv
from .sources import PREFIX, Source

__all__ = ["MOST_BYTES", "MOST_KEYS", "file_names", "parsed", "read_files"]

MOST_BYTES, MOST_KEYS = 1_000_000, 10_000
_TEST = "test"


def file_names(env: str) -> Iterator[str]:
    """Names of files, the one that counts most first. Local files are not for tests, as in go-doudou."""
    for stem in (f"app-{env}-local", *(() if env == _TEST else ("app-local",)), f"app-{env}", "app"):
        yield from (f"{stem}.yaml", f"{stem}.yml")
    yield f".env.{env}.local"
    if env != _TEST:
        yield ".env.local"
    yield from (f".env.{env}", ".env")


def read_files(directory: Path, env: str) -> tuple[Source, ...]:
    """A source for each file that is there, in the order in which they count.

    Raises:
        SettingsError: one cannot be read; the message names the file, and the line if it is one.
    """
    return tuple(
        Source(name, parsed(str(directory / name), text, "dotenv" if name.startswith(".env") else "yaml"))
        for name in file_names(env)
        if (text := _text(directory / name)) is not None
    )


def _text(path: Path) -> str | None:
    """What is in the file; None if there is none."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise SettingsError(f"{path}: a file is expected")
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror}") from error
    if len(content) > MOST_BYTES:
        raise SettingsError(f"{path}: more than {MOST_BYTES} bytes")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise SettingsError(f"{path}, line {line}: text in UTF-8 is expected") from error


def parsed(name: str, text: str, form: str) -> dict[str, str]:
    """The GDD_ variables of a text, ``dotenv`` or ``yaml``.

    Args:
        name: what the text is called in an error.

    Raises:
        SettingsError: it cannot be read, or is too long; or PyYAML is needed, and not there.
    """
    if len(text) > MOST_BYTES:
        raise SettingsError(f"{name}: more than {MOST_BYTES} bytes")
    try:
        found = _parser(name, form)(text, MOST_KEYS)
    except Unreadable as error:
        where = f"{name}, line {error.line}" if error.line else name
        raise SettingsError(f"{where}: {escaped(str(error))}") from None
    return {variable: value for variable, value in found.items() if variable.startswith(PREFIX)}


def _parser(name: str, form: str) -> Callable[[str, int], dict[str, str]]:
    if form == "dotenv":
        return parse_dotenv
    try:
        from .yaml_text import parse_yaml
    except ImportError as error:
        raise SettingsError(f"{name}: YAML is read by PyYAML: pip install 'pydoudou[yaml]' ({error})") from error
    return parse_yaml
