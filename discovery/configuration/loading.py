"""From the environment and the files to one configuration."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from ...drivers.environment import Environment
from ...drivers.errors import SettingsError
from ...drivers.kit.validation import printable
from .named_env import named_env
from .sources import ENVIRONMENT, Configuration, Source

__all__ = ["load_configuration"]


def load_configuration(env: Mapping[str, str], directory: str | os.PathLike[str] | None = None) -> Configuration:
    """The variables `env`, and after them the files of a folder.

    Args:
        directory: None for the current one.

    Raises:
        SettingsError: a file cannot be read, or GDD_ENV names no files.
    """
    from .files import read_files  # nobody else needs the readers, and `import pydoudou` is to be quick

    environment = Environment(env)
    name = named_env(environment)
    environment.check()
    folder = Path.cwd() if directory is None else Path(directory).absolute()
    try:
        is_there = folder.is_dir()
    except OSError as error:
        raise SettingsError(f"the folder {printable(str(folder))} cannot be read: {error.strerror}") from error
    if not is_there:
        raise SettingsError(f"{folder}: there is no such folder")
    return Configuration((Source(ENVIRONMENT, env), *read_files(folder, name)), str(folder))
