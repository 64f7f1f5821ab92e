"""The manual's page of variables is complete and right: it is compared with what the settings modules read."""

from __future__ import annotations

import ast
import enum
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import attrs
import pytest
from support import settings_table
from support.file_reading import without_tables

from pydoudou.discovery.configuration import reading
from pydoudou.drivers.environment import Environment
from pydoudou.drivers.memberlist import settings as memberlist_settings
from pydoudou.drivers.nacos import settings as nacos_settings
from pydoudou.drivers.static import settings as static_settings

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
VARIABLES = without_tables(PAGE)
NAME = re.compile(r"\bGDD_[A-Z0-9_]*?(?:[A-Z0-9]\b|_<SERVICE>)")
PLACEHOLDERS = re.compile(r"GDD_(STATIC|FILE)(_.*)?|GDD_MEM|GDD_MODE|GDD_MEM_PROBE_INTERVALL")
"""Variables of examples: any service's address, those of the driver in the manual, a prefix, and a misspelt one."""

# Some variables are only read if others are set, or not set.
ENVIRONMENTS: tuple[Mapping[str, str], ...] = (
    {},
    {"GDD_MEM_WEIGHT": "2"},
    {"GDD_SERVICE_DISCOVERY_MODE": "static", "GDD_WEIGHT": "2", "GDD_MEM_HOST": "127.0.0.1"},
)

E = TypeVar("E", bound=enum.Enum)


@attrs.frozen
class Described:
    """A variable as a row of the page has it, or as it was read.

    Attributes:
        default: "" if it was read without one.
    """

    default: str
    type: str


class Recorder(Environment):
    """Remembers what is read, how, and with which default."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        super().__init__(variables)
        self.read: dict[str, Described] = {}

    def text(self, name: str, default: str = "") -> str:
        self.read.setdefault(name, Described(default, "text"))
        return super().text(name, default)

    def names(self, prefix: str) -> list[str]:
        self.read[f"{prefix}<SERVICE>"] = Described("", "list")
        return super().names(prefix)

    def items(self, name: str) -> tuple[str, ...]:
        self.read[name] = Described("", "list")
        return super().items(name)

    def integer(self, name: str, default: int, *, least: int, most: int) -> int:
        self.read[name] = Described(str(default), "number")
        return super().integer(name, default, least=least, most=most)

    def number(self, name: str, default: float, *, least: float, most: float) -> float:
        self.read[name] = Described(f"{default:g}", "number")
        return super().number(name, default, least=least, most=most)

    def duration(self, name: str, default: float, *, bare_unit: float = 1.0, positive: bool = True) -> float:
        unit = {1.0: "s", 1e-3: "ms"}[bare_unit]
        written = "0" if default == 0 else f"{default:g}s" if default >= 1 else f"{1000 * default:g}ms"
        self.read[name] = Described(written, f"duration, {unit}")
        return super().duration(name, default, bare_unit=bare_unit, positive=positive)

    def flag(self, name: str, default: bool) -> bool:
        self.read[name] = Described(str(default).lower(), "flag")
        return super().flag(name, default)

    def choice(self, name: str, default: E) -> E:
        accepted = ", ".join(f"`{value.value}`" for value in type(default))
        self.read[name] = Described(str(default.value), accepted)
        return super().choice(name, default)


def sections() -> dict[str, dict[str, Described]]:
    """The rows of the page, by heading and name."""
    found: dict[str, dict[str, Described]] = {}
    for heading, text in re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", VARIABLES, flags=re.MULTILINE | re.DOTALL):
        rows = re.findall(r"^\| `(GDD_\S+)` \| (.*?) \| (.*?) \| .* \|$", text, flags=re.MULTILINE)
        if rows:
            found[heading] = {name: Described(default, kind) for name, default, kind in rows}
    return found


def read_by(reader: Callable[[Environment], Any]) -> dict[str, Described]:
    """What a reader of settings reads, in one environment or another."""
    found: dict[str, Described] = {}
    for variables in ENVIRONMENTS:
        recorder = Recorder(variables)
        reader(recorder)
        for name, described in recorder.read.items():
            if described.type != "text" or name not in found:
                found[name] = described
    return found


def _read_registration(environment: Environment) -> None:
    """What `Settings.from_env` reads by itself, and what stands in for that, without what the drivers read."""
    reading.named_plugins(environment)
    both = reading.named_plugins(Environment({"GDD_SERVICE_DISCOVERY_MODE": "memberlist,nacos"}))
    reading.own_fields(environment)
    reading.registration(environment, both)


@pytest.fixture(scope="module")
def reads() -> dict[str, dict[str, Described]]:
    """What is read, by heading."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (reading, memberlist_settings):
            patch.setattr(module, "private_address", lambda: "192.168.0.1")
        return {
            "Registry": read_by(_read_registration),
            "memberlist": read_by(memberlist_settings.read_settings),
            "nacos": read_by(nacos_settings.read_settings),
            "static": read_by(static_settings.read_settings),
        }


def test_the_tables_of_the_page_are_current() -> None:
    assert settings_table.with_tables(PAGE) == PAGE, "run make reference"


def test_the_page_has_every_variable_once(reads: dict[str, dict[str, Described]]) -> None:
    rows = [name for section in sections().values() for name in section]
    assert len(rows) == len(set(rows)), "some variable stands there twice"
    assert set(rows) == {name for section in reads.values() for name in section}


def test_every_variable_stands_where_it_is_read(reads: dict[str, dict[str, Described]]) -> None:
    assert {heading: [name for name in rows if name not in reads[heading]] for heading, rows in sections().items()} == {
        heading: [] for heading in reads
    }


@pytest.mark.parametrize("name", [name for section in sections().values() for name in section])
def test_the_page_has_the_default_and_the_type_of(name: str, reads: dict[str, dict[str, Described]]) -> None:
    (row,) = (section[name] for section in sections().values() if name in section)
    (read, *_) = sorted(
        (section[name] for section in reads.values() if name in section), key=lambda each: each.type == "text"
    )
    assert row.type == read.type
    if read.default:
        assert row.default == f"`{read.default}`"


def test_no_module_of_the_package_names_a_variable_that_the_page_has_not() -> None:
    known = {name for section in sections().values() for name in section}
    for path in ROOT.rglob("*.py"):
        if {"tests", "docs", "build", "dist"} & set(path.relative_to(ROOT).parts) or ".venv" in path.parts:
            continue
        texts = (
            node.value
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.Constant)
        )
        named = {text for text in texts if isinstance(text, str) and NAME.fullmatch(text)}
        assert named <= known, path


@pytest.mark.parametrize(
    "page", [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))], ids=lambda path: path.name
)
def test_no_page_of_the_manual_names_a_variable_that_does_not_exist(page: Path) -> None:
    known = {name for section in sections().values() for name in section}
    named = set(NAME.findall(without_tables(page.read_text(encoding="utf-8"))))
    assert {name for name in named - known if not PLACEHOLDERS.fullmatch(name)} == set()


@pytest.mark.parametrize("page", ["README.md", "docs/nacos.md"])
def test_other_pages_give_the_same_defaults(page: str) -> None:
    rows = re.findall(r"^\| (`GDD_.*?) \| (.*?) \|", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE)
    given = {
        name: default
        for names, defaults in rows
        for name, default in zip(NAME.findall(names), defaults.split(", "), strict=True)
    }
    known = {name: row.default for section in sections().values() for name, row in section.items()}
    assert given
    assert {name: known[name] for name in given} == given
