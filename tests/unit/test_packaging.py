"""What is installed is what stands in the repository."""

from __future__ import annotations

import configparser
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from pathlib import Path

import pytest

from pydoudou.discovery.plugins import BUILT_IN, GROUP

ROOT = Path(__file__).parents[2]
NOT_PACKAGES = {"tests", "docs", "build", "dist"}


def package_folders() -> list[Path]:
    """The folders that a user imports, the root first."""
    inside = (path.parent for path in ROOT.rglob("__init__.py"))
    return sorted(folder for folder in inside if not _left_out(folder.relative_to(ROOT)))


def _left_out(relative: Path) -> bool:
    return any(part in NOT_PACKAGES or part.startswith(".") for part in relative.parts)


def dotted(folder: Path) -> str:
    return ".".join(("pydoudou", *folder.relative_to(ROOT).parts))


def run(*command: str, cwd: Path) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=50)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> frozenset[str]:
    """The files of a wheel. Built from a copy: setuptools leaves its workings beside the sources, and takes them along
    the next time.
    """
    folder = tmp_path_factory.mktemp("wheel")
    ignored = shutil.ignore_patterns(".*", "__pycache__", "build", "dist", "*.egg-info")
    shutil.copytree(ROOT, folder / "source", ignore=ignored)
    build = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"
    run(sys.executable, "-c", build, str(folder), cwd=folder / "source")
    (built,) = folder.glob("*.whl")
    with zipfile.ZipFile(built) as archive:
        return frozenset(archive.namelist())


def test_every_package_folder_is_listed_in_setup_cfg() -> None:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    assert sorted(parser["options"]["packages"].split()) == sorted(map(dotted, package_folders()))


def test_every_folder_with_modules_is_a_package() -> None:
    with_modules = {path.parent for path in ROOT.rglob("*.py") if not _left_out(path.parent.relative_to(ROOT))}
    assert sorted(with_modules) == package_folders()


def test_no_module_stands_at_the_root() -> None:
    assert {path.name for path in ROOT.glob("*.py")} == {"__init__.py", "__main__.py"}


def test_a_wheel_has_every_module_and_no_tests(wheel: frozenset[str]) -> None:
    modules = {path for folder in package_folders() for path in folder.glob("*.py")}
    assert {name for name in wheel if name.endswith(".py")} == {
        f"pydoudou/{path.relative_to(ROOT).as_posix()}" for path in modules
    }


def test_a_wheel_says_that_it_is_typed(wheel: frozenset[str]) -> None:
    assert "pydoudou/py.typed" in wheel


def test_imports_point_one_way() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    assert "0 broken" in run(str(linter), "--no-cache", cwd=ROOT)


def test_the_modes_of_this_package_are_the_entry_points_that_it_installs() -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        installed = tomllib.load(file)["project"]["entry-points"][GROUP]
    assert installed == {mode: f"pydoudou.drivers.{mode}:plugin" for mode in BUILT_IN}


def test_a_users_program_is_checked_against_our_types_in_the_environment_of_make_venv(tmp_path: Path) -> None:
    if not Path(sysconfig.get_path("purelib"), "linked.pth").exists():
        pytest.skip("this environment was not made by make venv")
    program = tmp_path / "program.py"
    program.write_text('import pydoudou\n\nreveal_type(pydoudou.RoundRobin("orders").pick().base_url)\n')
    cache = f"--cache-dir={tmp_path / 'cache'}"
    told = run(sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", cache, str(program), cwd=tmp_path)
    assert 'Revealed type is "str"' in told.replace("builtins.str", "str")
