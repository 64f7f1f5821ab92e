"""Where the real peers are that `make peers` built."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

_SOURCES = Path(__file__).parents[1] / "interop" / "peers"


def built_folder(name: str) -> Path | None:
    """The folder that the peer `name` was built into, or None."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    cache = Path(os.environ.get("PYDOUDOU_PEERS") or f"{base}/pydoudou/peers")
    built = cache / f"{name}-{_key(_SOURCES / name)}"
    return built if (built / "built").exists() else None


def locate(name: str) -> Path:
    """The folder that the peer `name` was built into; skips the test without it, fails it in CI."""
    built = built_folder(name)
    if built is not None:
        return built
    message = f"the peer {name!r} is not built: run make peers"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)


def _key(folder: Path) -> str:
    """The same digest as the build script's: of the sorted list of the files' digests."""
    files = sorted(f"./{path.relative_to(folder)}" for path in folder.rglob("*") if path.is_file())
    lines = (f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n" for name in files)
    return hashlib.sha256("".join(lines).encode()).hexdigest()[:12]
