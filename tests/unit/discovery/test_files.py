"""The files of a folder as sources of variables."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from support.file_reading import DOTENV, ERROR, YAML, Row, with_tables

from pydoudou import Settings, SettingsError
from pydoudou.discovery.configuration.described import described
from pydoudou.discovery.configuration.files import file_names, read_files

PAGE = Path(__file__).parents[3] / "docs" / "settings.md"
ENOUGH = {"GDD_SERVICE_NAME": "orders", "GDD_REGISTER_HOST": "10.0.0.7", "GDD_MEM_HOST": "127.0.0.1"}


def write(folder: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8", newline="")
    return folder


def complaint(folder: Path) -> str:
    with pytest.raises(SettingsError) as caught:
        read_files(folder, "dev")
    return str(caught.value)


# -- what is in a file -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("row", [*DOTENV, *YAML], ids=lambda row: f"{row.form} {row.text!r}")
def test_a_file_is_read_as_the_manual_says(tmp_path: Path, row: Row) -> None:
    write(tmp_path, {".env" if row.form == "dotenv" else "app.yml": row.text})
    if row.expected is ERROR:
        assert f"{tmp_path}{os.sep}" in complaint(tmp_path)
        assert ", line " in complaint(tmp_path)
    else:
        (source,) = read_files(tmp_path, "dev")
        assert source.values == row.expected


def test_the_manual_has_every_row() -> None:
    text = PAGE.read_text("utf-8")
    assert with_tables(text) == text, "run make reference"


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        (".env", "GDD_A=1\n\nGDD_B 2\n", 3),
        (".env", 'GDD_A="1\n2"\nGDD_B="3\n', 3),
        ("app.yml", "gdd:\n  a: 1\n  b: [1\n", 4),
        ("app.yml", "gdd:\n  a: 1\n  b: *c\n", 3),
    ],
)
def test_an_error_names_the_file_and_the_line(tmp_path: Path, name: str, text: str, line: int) -> None:
    assert complaint(write(tmp_path, {name: text})).startswith(f"{tmp_path / name}, line {line}: ")


def test_an_error_does_not_show_values(tmp_path: Path) -> None:
    assert "x9x" not in complaint(write(tmp_path, {".env": "GDD_MANAGE_PASS='x9x\n"}))
    assert "X9X" not in complaint(write(tmp_path, {".env": "GDD_MANAGE_PASS=a$X9X\n"}))


# -- bounds ------------------------------------------------------------------------------------------------------------

_BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} [{','.join([f'*{before}'] * 9)}]\n" for before, name in zip("abcdefg", "bcdefgh", strict=True)
)


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("app.yml", _BOMB, "aliases"),
        ("app.yml", "gdd:\n" + "".join(f"  k{n}: 1\n" for n in range(10_000)), "more than 10000 keys"),
        ("app.yml", "gdd: " + "[" * 100_000, "levels"),
        ("app.yml", "gdd: " + "{a: " * 100_000, "levels"),
        ("app.yml", "# " + "x" * 1_000_000, "more than 1000000 bytes"),
        (".env", "GDD_A=" + "x" * 1_000_000, "more than 1000000 bytes"),
        (".env", "".join(f"K{n}=1\n" for n in range(10_001)), "more than 10000 variables"),
        (".env", "A=xxxxxxxxxx\n" + "".join("A=$A$A\n" for _ in range(60)), "characters"),
        (".env", "A=" + "x" * 100_000 + "\nB=" + "$A" * 400_000, "characters"),
        (".env", '"' * 500_000, "a name"),
        (".env", "A='" + "\\" * 500_000, "quote"),
    ],
    ids=lambda value: value[:24] if isinstance(value, str) else None,
)
def test_what_is_too_large_is_refused_before_it_costs_anything(tmp_path: Path, name: str, text: str, why: str) -> None:
    write(tmp_path, {name: text})
    began = time.process_time()
    assert why in complaint(tmp_path)
    assert time.process_time() - began < 5


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything: run the tests as somebody else")
def test_a_file_that_may_not_be_read_is_an_error(tmp_path: Path) -> None:
    write(tmp_path, {".env": "GDD_PORT=1\n"})
    (tmp_path / ".env").chmod(0)
    assert complaint(tmp_path) == f"{tmp_path / '.env'}: cannot be read: Permission denied"


def test_what_is_no_file_of_text_is_an_error(tmp_path: Path) -> None:
    (tmp_path / ".env").mkdir()
    assert "a file is expected" in complaint(tmp_path)
    (tmp_path / ".env").rmdir()
    os.mkfifo(tmp_path / ".env")
    assert "a file is expected" in complaint(tmp_path)
    (tmp_path / ".env").unlink()
    (tmp_path / ".env").write_bytes(b"GDD_A=1\nGDD_B=\xff\n")
    assert complaint(tmp_path) == f"{tmp_path / '.env'}, line 2: text in UTF-8 is expected"


def test_yaml_without_pyyaml_names_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)
    monkeypatch.delitem(sys.modules, "pydoudou.discovery.configuration.yaml_text", raising=False)
    assert "pip install 'pydoudou[yaml]'" in complaint(write(tmp_path, {"app.yml": "gdd: {}\n"}))


# -- which file counts -------------------------------------------------------------------------------------------------


def test_the_files_count_in_the_order_of_go_doudou() -> None:
    assert [name for name in file_names("dev") if not name.endswith(".yaml")] == [
        "app-dev-local.yml",
        "app-local.yml",
        "app-dev.yml",
        "app.yml",
        ".env.dev.local",
        ".env.local",
        ".env.dev",
        ".env",
    ]


def test_local_files_are_not_for_tests() -> None:
    assert not {"app-local.yml", ".env.local"} & set(file_names("test"))


def test_each_value_is_that_of_the_first_source_that_has_it(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "app.yml": "gdd:\n  port: 2\n  weight: 2\n  mem:\n    seed: [10.0.0.2]\n",
            ".env.dev": "GDD_PORT=3\nGDD_MEM_GOSSIP_NODES=3\n",
            ".env": "GDD_MEM_GOSSIP_NODES=4\nGDD_MEM_INDIRECT_CHECKS=4\n",
        },
    )
    settings = Settings.load(ENOUGH | {"GDD_PORT": "1"}, directory=tmp_path)
    found = {each.name: (each.value, each.source) for each in described(settings)}
    assert found["GDD_PORT"] == ("1", "environment")
    assert found["GDD_WEIGHT"] == ("2", "app.yml")
    assert found["GDD_MEM_SEED"] == ("10.0.0.2", "app.yml")
    assert found["GDD_MEM_GOSSIP_NODES"] == ("3", ".env.dev")
    assert found["GDD_MEM_INDIRECT_CHECKS"] == ("4", ".env")
    assert found["GDD_MEM_GOSSIP_INTERVAL"] == ("500ms", "default")
    assert (settings.port, settings.configuration.directory) == (1, str(tmp_path))


def test_an_empty_variable_hides_what_comes_after_it(tmp_path: Path) -> None:
    write(tmp_path, {".env": "GDD_PORT=3\n"})
    assert Settings.load(ENOUGH | {"GDD_PORT": ""}, directory=tmp_path).port == 6060


def test_the_environment_says_whose_files_are_read(tmp_path: Path) -> None:
    write(tmp_path, {".env.dev": "GDD_PORT=1\n", ".env.prod": "GDD_PORT=2\nGDD_ENV=dev\n"})
    assert Settings.load(ENOUGH, directory=tmp_path).port == 1
    assert Settings.load(ENOUGH | {"GDD_ENV": "prod"}, directory=tmp_path).port == 2


@pytest.mark.parametrize("env", ["../x", "a/b", ".", "a b", "x" * 65])
def test_the_name_of_an_environment_leads_to_no_other_folder(tmp_path: Path, env: str) -> None:
    with pytest.raises(SettingsError, match="GDD_ENV"):
        Settings.load(ENOUGH | {"GDD_ENV": env}, directory=tmp_path)


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no such folder"):
        Settings.load(ENOUGH, directory=tmp_path / "nowhere")
    with pytest.raises(SettingsError, match=r"cannot be read: File name too long|no such folder"):
        Settings.load(ENOUGH, directory=tmp_path / ("x" * 5000))


def test_a_bad_value_is_told_with_its_file(tmp_path: Path) -> None:
    write(tmp_path, {".env": "GDD_PORT=eighty\n"})
    with pytest.raises(SettingsError, match=r"GDD_PORT is 'eighty' in \.env; accepted"):
        Settings.load(ENOUGH, directory=tmp_path)


def test_the_environment_of_the_process_stays_as_it_is_and_from_env_reads_no_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, {".env": "GDD_PORT=3\n"})
    monkeypatch.chdir(tmp_path)
    for name, value in ENOUGH.items():
        monkeypatch.setenv(name, value)
    before = dict(os.environ)
    assert (Settings.load().port, Settings.from_env().port) == (3, 6060)
    assert dict(os.environ) == before


def test_pyyaml_is_imported_only_where_a_file_of_yaml_is(tmp_path: Path) -> None:
    write(tmp_path, {".env": "GDD_PORT=3\n"})
    code = (
        "import sys, pydoudou; pydoudou.Settings.load(register=False);"
        "assert 'yaml' not in sys.modules; open('app.yml', 'w').close();"
        "pydoudou.Settings.load(register=False); assert 'yaml' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
