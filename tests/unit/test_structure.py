"""The shape of the package: what its modules export."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NOT_THE_PACKAGE = {"tests", "docs", "build", "dist"}
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
