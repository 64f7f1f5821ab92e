"""Writes docs/reference/log.md: every line that the package logs, by its level and its logger.

python tests/support/log_page.py docs/reference/log.md
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

__all__ = ["page"]

ROOT = Path(__file__).parents[2]
_HEAD = """\
# Every line that is logged

Made from the sources by `make reference`; a test holds it to them. `%s` and the like stand for what is put in.
[logging.md](../logging.md) says how to see what, and what the fields hold, whose names begin with `pydoudou_`.
Lines of `pydoudou.balancers.calls` go to the logger of the client.
"""
_LEVELS = {
    "error": "something is given up, and somebody has to look",
    "warning": "something is wrong, and goes on or is tried again",
    "info": "what a process does in its life",
    "debug": "what happens all the time, for looking into something",
}
_ROOMS = ("discovery", "drivers", "balancers", "contrib")


def page() -> str:
    """The page, in Markdown."""
    lines = [_HEAD]
    found = sorted(set(_all()))
    for level, about in _LEVELS.items():
        lines += [f"## {level.upper()}: {about}", "", "| logger | line | fields |", "|---|---|---|"]
        lines += [f"| `{logger}` | {_cell(text)} | {names} |" for each, logger, text, names in found if each == level]
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")


def _all() -> Iterator[tuple[str, str, str, str]]:
    """Level, logger, text, and the names of the fields."""
    for room in _ROOMS:
        for path in (ROOT / room).rglob("*.py"):
            logger = ".".join(("pydoudou", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__")
            tree = ast.parse(path.read_text("utf-8"))
            made = _made(tree)
            for node in ast.walk(tree):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and _is_logger(node.func.value):
                    level = "error" if node.func.attr == "exception" else node.func.attr
                    text = next(filter(None, map(_text, node.args)), "")
                    if level in _LEVELS and text:
                        yield level, logger, text, ", ".join(f"`{name}`" for name in _fields(node, made))


def _made(tree: ast.Module) -> dict[str, list[str]]:
    """The fields that a function of the module returns, or that a name stands for."""
    made: dict[str, list[str]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            for each in ast.walk(node):
                if isinstance(each, ast.Return) and (names := _named(each.value)):
                    made[node.name] = names
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and (names := _named(node.value)):
            made[node.targets[0].id] = names
    return made


def _fields(line: ast.Call, made: dict[str, list[str]]) -> list[str]:
    """Those of a line, without what their names begin with."""
    for keyword in line.keywords:
        if keyword.arg == "extra":
            value = keyword.value
            called = value.func if isinstance(value, ast.Call) else value
            name = called.id if isinstance(called, ast.Name) else ""
            return _named(value) or made.get(name, [])
    return []


def _named(value: ast.expr | None) -> list[str]:
    """The fields of ``fields(service=…)``, or of a `partial` of it."""
    if not isinstance(value, ast.Call) or not isinstance(value.func, ast.Name):
        return []
    first = value.args[0] if value.args else None
    of_fields = value.func.id == "fields" or (
        value.func.id == "partial" and isinstance(first, ast.Name) and first.id == "fields"
    )
    return [keyword.arg for keyword in value.keywords if keyword.arg] if of_fields else []


def _is_logger(node: ast.expr) -> bool:
    name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
    return name.lstrip("_") in ("logger", "log")


def _text(node: ast.expr) -> str:
    """A line, as opposed to the one word by which a limited log tells the kinds of lines apart."""
    text = node.left if isinstance(node, ast.BinOp) else node
    if isinstance(text, ast.Constant) and isinstance(text.value, str) and (" " in text.value or "%" in text.value):
        return text.value
    return ""


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page(), "utf-8")
