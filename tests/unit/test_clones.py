"""No check depends on the name of the folder that the clone stands in."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(*module_and_arguments: str, cwd: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *module_and_arguments], cwd=cwd, capture_output=True, text=True, timeout=50
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(params=["pydoudou", "main", "my-clone"])
def clone(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A copy of the sources in a folder of that name."""
    left_out = shutil.ignore_patterns(".*", "__pycache__", "build", "dist", "*.egg-info")
    return Path(shutil.copytree(ROOT, tmp_path / request.param, ignore=left_out))


def test_ruff_finds_nothing_in_a_clone_of_any_name(clone: Path) -> None:
    run("ruff", "check", "--no-cache", ".", cwd=clone)
    run("ruff", "format", "--no-cache", "--check", ".", cwd=clone)


@pytest.mark.parametrize("clone", ["my-clone"], indirect=True)
def test_tests_run_in_a_clone_whose_name_is_no_identifier(clone: Path) -> None:
    run("pytest", "tests/unit/test_waiting.py", "-p", "no:cacheprovider", cwd=clone)
