"""How much of the word cloud system's front is about the registry, beside the article's; and all of it is public."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path

from support.wordcloud import HERE

APP = HERE / "wordcloud_app"
PAGE = HERE.parents[1] / "wordcloud.md"
OF_THE_REGISTRY = ("pydoudou", "pydoudou.contrib.fastapi", "pydoudou.contrib.httpx", ".discovery")
"""The modules whose names make a line one about the registry. The page's, the metrics' and the limits' are not."""
OF_BFF = ("bff.py", "app.py", "discovery.py")
"""What the original has in the main of its bff."""
ARTICLE = 20
"""Lines of the article's main: three declarations of clients, and the block from ``if`` micro to the end of its else,
without comments and blank lines.
"""


def parsed(file: Path) -> ast.Module:
    return ast.parse(file.read_text("utf-8"))


def imported(tree: ast.AST, modules: tuple[str, ...]) -> set[str]:
    """The names that these modules' own stand under."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {name.asname or name.name for name in node.names if name.name in modules}
        elif isinstance(node, ast.ImportFrom) and "." * node.level + (node.module or "") in modules:
            found |= {name.asname or name.name for name in node.names}
    return found


def heads(tree: ast.AST) -> Iterator[tuple[ast.stmt, set[int]]]:
    """Every statement and its lines: of one with a body, those above it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.stmt) and not isinstance(node, (ast.Import, ast.ImportFrom)):
            body = getattr(node, "body", None)
            last = body[0].lineno - 1 if body else node.end_lineno or node.lineno
            yield node, set(range(node.lineno, last + 1))


def about_the_registry(file: Path) -> list[str]:
    """The lines of a file that name something of the registry, and all that chooses between finding and knowing.

    Imports count nowhere: the article leaves its own out. So do comments, docstrings and blank lines.
    """
    text = file.read_text("utf-8").splitlines()
    tree = parsed(file)
    names = imported(tree, OF_THE_REGISTRY)
    numbers: set[int] = set()
    for node, lines in heads(tree):
        own = {
            number
            for name in ast.walk(node)
            if isinstance(name, ast.Name) and name.id in names and name.lineno in lines
            for number in lines
        }
        numbers |= own
        if isinstance(node, ast.FunctionDef) and node.name == "settings":
            code = [statement for statement in node.body if not isinstance(statement, ast.Expr)]
            numbers |= lines - set(range(node.body[0].lineno, code[0].lineno))
            numbers |= {number for statement in code for number in range(statement.lineno, statement.end_lineno or 0)}
            numbers |= {statement.end_lineno or 0 for statement in code}
    return [text[number - 1] for number in sorted(numbers) if text[number - 1].strip()]


def test_bff_says_less_about_the_registry_than_the_article_and_the_page_tells_both() -> None:
    lines = {name: about_the_registry(APP / name) for name in OF_BFF}
    for name, found in lines.items():
        print(name, *found, sep="\n    ")
    counts = [len(found) for found in lines.values()]
    assert all(counts), "the names that are looked for are not there"
    assert sum(counts) < ARTICLE
    page = PAGE.read_text("utf-8")
    where = ", ".join(f"{count} in `{name}`" for name, count in zip(OF_BFF, counts, strict=True))
    told = f"| {ARTICLE} | {sum(counts)}: {where} |"
    assert told in page, told


def test_the_example_uses_public_names_alone() -> None:
    used = set()
    for file in sorted(HERE.rglob("*.py")):
        tree = parsed(file)
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "pydoudou":
                used |= {(str(node.module), name.name) for name in node.names}
            elif isinstance(node, ast.Import):
                assert all(name.name == "pydoudou" for name in node.names if name.name.startswith("pydoudou"))
            elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "pydoudou":
                used.add(("pydoudou", node.attr))
    assert {("pydoudou", "Settings"), ("pydoudou.contrib.httpx", "DiscoveryTransport")} <= used
    for module, name in used:
        assert not any(part.startswith("_") for part in (*module.split("."), name))
        owner = importlib.import_module(module)
        public = getattr(owner, "__all__", ())
        assert name in public or (module == "pydoudou.contrib" and importlib.import_module(f"{module}.{name}"))
