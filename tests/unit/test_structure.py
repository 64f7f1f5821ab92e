"""The shape of the package: what its modules export, how long they are, and whose private attributes are touched."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
INTERNALS = {
    *(f"contrib/{library}_internals.py" for library in ("aiohttp", "httpx", "requests", "urllib3")),
    "drivers/nacos/sdk_patches.py",
}
"""What is not public in another library, checked when it is loaded: one module for each library."""
NOT_THE_PACKAGE = {"tests", "docs", "build", "dist"}
MOST_LINES = 400
SOURCES = sorted(
    path
    for path in ROOT.rglob("*.py")
    if not any(part in NOT_THE_PACKAGE or part.startswith(".") for part in path.relative_to(ROOT).parts)
)


def dotted(path: Path) -> str:
    """The module's name: ``pydoudou.drivers.memberlist.node``."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(("pydoudou", *(part for part in parts if part != "__init__")))


MODULES = [dotted(path) for path in SOURCES if path.name != "__main__.py"]


def test_no_module_is_longer_than_a_reader_keeps_in_mind() -> None:
    lengths = {dotted(path): len(path.read_text("utf-8").splitlines()) for path in SOURCES}
    assert {name: lines for name, lines in lengths.items() if lines > MOST_LINES} == {}


@pytest.mark.filterwarnings("ignore")  # Nacos' SDK uses what pydantic has given up
@pytest.mark.parametrize("name", MODULES)
def test_a_module_has_what_it_says_it_exports(name: str) -> None:
    module = importlib.import_module(name)
    exported = getattr(module, "__all__", [])
    assert len(set(exported)) == len(exported)
    assert [each for each in exported if not hasattr(module, each)] == []


@pytest.mark.parametrize("path", SOURCES, ids=dotted)
def test_a_module_with_anything_in_it_says_what_it_exports(path: Path) -> None:
    body = ast.parse(path.read_text("utf-8")).body
    names = {
        target.id
        for node in body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    if "__all__" not in names and path.name != "__main__.py":
        assert [type(node) for node in body if not _is_docstring(node)] == []


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


# -- private attributes ------------------------------------------------------------------------------------------------
#
# Ruff's SLF001 finds `other._name`; pyproject.toml names the modules that may. These tests find what it overlooks.

BY_NAME = {
    "getattr",
    "setattr",
    "hasattr",
    "delattr",
    "getattr_static",
    "attrgetter",
    "methodcaller",
    "patch",
    "object",
}


def private_names(source: str) -> Iterator[str]:
    """Private names that are imported, or given as text to what gets or sets an attribute of another object."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom):
            named = [*(node.module or "").split("."), *(alias.name for alias in node.names)]
        elif isinstance(node, ast.Call) and _name(node.func) in BY_NAME and not _on_self(node):
            texts = [each.value for each in node.args if isinstance(each, ast.Constant) and isinstance(each.value, str)]
            named = [part for text in texts for part in text.split(".")]
        else:
            continue
        yield from (name for name in named if name.startswith("_") and not name.startswith("__"))


def _name(function: ast.expr) -> str:
    return (
        function.attr if isinstance(function, ast.Attribute) else function.id if isinstance(function, ast.Name) else ""
    )


def _on_self(call: ast.Call) -> bool:
    return bool(call.args) and isinstance(call.args[0], ast.Name) and call.args[0].id == "self"


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("from pydoudou.discovery.watch import _Pending", ["_Pending"]),
        ("from httpx._urls import URL", ["_urls"]),
        ("getattr(pool, '_pool', None)", ["_pool"]),
        ("monkeypatch.setattr('pydoudou.discovery.watch._LIMIT', 1)", ["_LIMIT"]),
        ("monkeypatch.setattr(watch, '_LIMIT', 1)", ["_LIMIT"]),
        ("getattr(self, '_pool')", []),
        ("from __future__ import annotations; getattr(pool, '__name__'); print('_pool')", []),
    ],
)
def test_private_names_are_found_where_the_linter_overlooks_them(source: str, found: list[str]) -> None:
    assert [*private_names(source)] == found


def test_nobody_reaches_for_private_names_but_the_modules_that_are_there_for_it() -> None:
    everywhere = [*SOURCES, *(ROOT / "tests").rglob("*.py"), *(ROOT / "docs").rglob("*.py")]
    found = {str(path.relative_to(ROOT)): [*private_names(path.read_text("utf-8"))] for path in everywhere}
    assert {path for path, names in found.items() if names} - INTERNALS == set()
