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
[logging.md](../logging.md) says how to see what. Lines of `pydoudou.balancers.calls` go to the logger of the client.
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
        lines += [f"## {level.upper()}: {about}", "", "| logger | line |", "|---|---|"]
        lines += [f"| `{logger}` | {_cell(text)} |" for each, logger, text in found if each == level]
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")


def _all() -> Iterator[tuple[str, str, str]]:
    """Level, logger and text."""
    for room in _ROOMS:
        for path in (ROOT / room).rglob("*.py"):
            logger = ".".join(("pydoudou", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__")
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and _is_logger(node.func.value):
                    level = "error" if node.func.attr == "exception" else node.func.attr
                    text = next(filter(None, map(_text, node.args)), "")
                    if level in _LEVELS and text:
                        yield level, logger, text


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
