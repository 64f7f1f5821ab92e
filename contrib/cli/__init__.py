"""The command line: ``pydoudou …``."""

from .main import main

__all__ = ["main"]
