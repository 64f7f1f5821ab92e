"""Fixed addresses from the environment: what go-doudou calls the monolithic mode."""

from . import plugin
from .driver import StaticDriver
from .settings import StaticSettings

__all__ = ["StaticDriver", "StaticSettings", "plugin"]
