"""What Docker Compose and Kubernetes understand in a file."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from support.peers import locate

from pydoudou import Settings
from pydoudou.discovery.configuration.described import described

__all__ = ["checked", "read", "understood"]


def read(kind: str, file: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """The reader of ``compose`` or ``kubernetes`` files, after it ended; `variables` are in its environment."""
    command = [locate("manifests") / "peer", kind, file]
    return subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **variables})


def understood(kind: str, file: Path, **variables: str) -> Any:
    """What Compose or Kubernetes reads in a file; fails the test where they refuse it."""
    done = read(kind, file, **variables)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def checked(variables: dict[str, str]) -> Settings:
    """The settings of a service; fails the test where something is among its variables that nobody reads."""
    ours = {name: text for name, text in variables.items() if name.startswith("GDD_")}
    settings = Settings.from_env(ours, register="GDD_SERVICE_NAME" in ours)
    assert ours.keys() <= {variable.name for variable in described(settings) if not variable.problem}
    return settings
