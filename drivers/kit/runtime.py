"""What tells people, in the metadata of both backends, that a node is not written in Go."""

import sys

__all__ = ["RUNTIME"]

RUNTIME = f"py{sys.version_info.major}.{sys.version_info.minor}"
"""What we put where Go nodes put their Go version."""
