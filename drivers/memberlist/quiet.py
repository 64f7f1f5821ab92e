"""A logger that says nothing, for a registry with ``GDD_MEM_LOG_DISABLE``: others in the process go on logging."""

from __future__ import annotations

import logging

__all__ = ["SILENT"]

SILENT = logging.Logger("pydoudou.silent", logging.CRITICAL + 1)
"""It hangs on no other logger, has no handler, and takes no level."""
