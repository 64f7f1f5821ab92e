"""``pydoudou settings`` and ``pydoudou run --export`` as their users have them, with files in the current folder."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
from support.commands import pydoudou
from support.gossip import FAST_GOSSIP
from support.server_processes import free_port

ENOUGH = {"GDD_SERVICE_NAME": "orders", "GDD_MEM_HOST": "127.0.0.1"}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder of the commands, with a file in it."""
    (tmp_path / ".env").write_text("GDD_PORT=8081\nGDD_MANAGE_USER=ada\nGDD_MANAGE_PASS='x9x'\nOTHER=1\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_json_has_every_variable_with_its_value_and_its_source(folder: Path) -> None:
    done = pydoudou("settings", "--json", **ENOUGH, GDD_WEIGHT="3")
    assert done.returncode == 0, done.stderr
    rows = {row["name"]: row for row in map(json.loads, done.stdout.splitlines())}
    assert (rows["GDD_PORT"]["value"], rows["GDD_PORT"]["source"], rows["GDD_PORT"]["default"]) == (
        "8081",
        ".env",
        "6060",
    )
    assert (rows["GDD_WEIGHT"]["value"], rows["GDD_WEIGHT"]["source"]) == ("3", "environment")
    assert (rows["GDD_MANAGE_PASS"]["value"], rows["GDD_MANAGE_PASS"]["source"]) == ("(set)", ".env")
    assert rows["GDD_MEM_PROBE_INTERVAL"]["source"] == "default"
    assert all(row["meaning"] for row in rows.values())
    assert "OTHER" not in rows
    assert str(folder) in done.stderr
    assert "x9x" not in done.stdout + done.stderr


def test_in_a_pipe_it_is_lines_and_says_which_folder_was_read(folder: Path) -> None:
    done = pydoudou("settings", "--set", **ENOUGH)
    assert done.returncode == 0, done.stderr
    heading, *rows, last = done.stdout.splitlines()
    assert heading.split() == ["variable", "value", "source", "default", "meaning"]
    assert {row.split()[0] for row in rows} == {*ENOUGH, "GDD_PORT", "GDD_MANAGE_USER", "GDD_MANAGE_PASS"}
    assert last == f"read: the environment, and the files of {folder}"
    assert done.stderr == f"pydoudou: settings from .env in {folder}\n"


def test_what_is_wrong_or_unknown_is_said_and_is_the_exit_code(folder: Path) -> None:
    done = pydoudou("settings", "--set", GDD_PORT="eighty", GDD_MEM_SEDE="x9x", GDD_MEM_HOST="127.0.0.1")
    assert done.returncode == 1
    wrong = [line for line in done.stdout.splitlines() if line.startswith("wrong: ")]
    assert any("GDD_PORT is 'eighty'" in line for line in wrong)
    assert any("GDD_MEM_SEDE" in line and "did you mean GDD_MEM_SEED?" in line for line in wrong)
    assert any("GDD_SERVICE_NAME is not set" in line for line in wrong)
    assert "x9x" not in done.stdout
    assert pydoudou("settings", "--look-only", GDD_MEM_HOST="127.0.0.1").returncode == 0


def test_a_file_that_cannot_be_read_is_said_with_its_line(folder: Path) -> None:
    (folder / ".env").write_text("GDD_PORT=1\nGDD_PORT\n")
    for command in (["settings"], ["members"], ["run", "--", sys.executable, "-c", "pass"]):
        done = pydoudou(*command, **ENOUGH)
        assert done.returncode == 2
        assert f"{folder / '.env'}, line 2: " in done.stderr
        assert "Traceback" not in done.stderr


def test_another_folder_can_be_read(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "app.yml").write_text("gdd:\n  port: 8082\n")
    done = pydoudou("settings", "--set", "--directory", str(elsewhere), **ENOUGH)
    assert "8082" in done.stdout
    assert f"the files of {elsewhere}" in done.stdout
    assert pydoudou("settings", "--directory", str(elsewhere / "nowhere")).returncode == 2


@pytest.mark.parametrize("export", [True, False])
def test_a_program_gets_the_values_of_files_only_if_that_is_asked_for(folder: Path, export: bool) -> None:
    (folder / ".env").write_text(f"GDD_PORT={free_port()}\nGDD_SERVICE_NAME=orders\nOTHER=1\n")
    options = ["--export"] if export else []
    program = "import json, os; print(json.dumps({n: v for n, v in os.environ.items()}))"
    done = pydoudou("run", *options, "--", sys.executable, "-c", program, **FAST_GOSSIP)
    assert done.returncode == 0, done.stderr
    given = json.loads(done.stdout)
    assert ("GDD_SERVICE_NAME" in given) == export
    assert "OTHER" not in given
    assert given["PATH"] == os.environ["PATH"]
