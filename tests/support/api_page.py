"""Writes docs/reference/api.md: every public name, its signature and its docstring.

    python tests/support/api_page.py docs/reference/api.md

Read from the sources and not from what was imported, so that a default reads as it is written, and every Python gives
the same page.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import attrs

__all__ = ["page"]

_HEAD = """\
# Every public name

Made from the docstrings by `make reference`; a test holds it to them. What is not here may change in any release.
"""
_MODULES = {
    "pydoudou": "What most programs need.",
    "pydoudou.balancers": "More for a balancer of your own.",
    "pydoudou.contrib.requests": "Services called through `requests`: [http-clients.md](../http-clients.md).",
    "pydoudou.contrib.httpx": "Services called through `httpx`, sync and async: [http-clients.md](../http-clients.md).",
    "pydoudou.contrib.httpx2": "The same through `httpx2`, which continues `httpx`.",
    "pydoudou.contrib.aiohttp": "Services called through `aiohttp`: [other-clients.md](../other-clients.md).",
    "pydoudou.contrib.urllib3": "Services called through `urllib3`: [other-clients.md](../other-clients.md).",
    "pydoudou.contrib.grpc": "gRPC services: [other-clients.md](../other-clients.md).",
    "pydoudou.contrib.grpc_aio": "The same for `grpc.aio`; it is `pydoudou.contrib.grpc.aio` as well.",
    "pydoudou.balancers.calls.trail": "What `attempts_of` of every client gives: [calls.md](../calls.md).",
    "pydoudou.balancers.own_call": "What `call()` of a balancer gives.",
    "pydoudou.balancers.memory.pick": "What `begin()` of a balancer gives.",
    "pydoudou.discovery.explanation": "What `Registry.explain_members` gives: [balancing.md](../balancing.md).",
    "pydoudou.contrib.fastapi": "A FastAPI application as a service: [servers.md](../deploy/servers.md).",
    "pydoudou.contrib.starlette": "A Starlette application as a service: [servers.md](../deploy/servers.md).",
    "pydoudou.contrib.asgi": "Any ASGI application as a service: [servers.md](../deploy/servers.md).",
    "pydoudou.contrib.flask": "A Flask application as a service: [servers.md](../deploy/servers.md).",
    "pydoudou.contrib.django": "A Django project as a service: [servers.md](../deploy/servers.md).",
    "pydoudou.contrib.wsgi": "Any WSGI application as a service: [servers.md](../deploy/servers.md).",
    "pydoudou.contrib.hypercorn": "hypercorn in process: [servers.md](../deploy/servers.md).",
    "pydoudou.contrib.celery": "Services called from Celery's tasks: [servers.md](../deploy/servers.md).",
    "pydoudou.contrib.gunicorn": "Hooks for gunicorn's configuration: [servers.md](../deploy/servers.md).",
    "pydoudou.contrib.protection.asgi": "Places and rates for ASGI applications: [protection.md](../protection.md).",
    "pydoudou.contrib.protection.wsgi": "The same for WSGI applications.",
    "pydoudou.contrib.protection.memory": "Rate limits of one process.",
    "pydoudou.contrib.protection.redis": "Rate limits of all processes.",
    "pydoudou.contrib.servers": "For other servers: [servers.md](../deploy/servers.md).",
    "pydoudou.contrib.simulator": "Balancers and policies in virtual time: [simulations.md](../simulations.md).",
    "pydoudou.contrib.prometheus": "Metrics: [metrics.md](../metrics.md).",
    "pydoudou.contrib.opentelemetry": "Traces and metrics: [opentelemetry.md](../opentelemetry.md).",
    "pydoudou.contrib.prometheus_sd": "Targets for Prometheus: [cli.md](../cli.md#sd).",
    "pydoudou.drivers.contract": "For a driver of your own, [third-party-drivers.md](../third-party-drivers.md).",
    "pydoudou.drivers.members": "The values that drivers report.",
    "pydoudou.drivers.environment": "Variables, read and checked.",
    **{
        f"pydoudou.drivers.kit.{room}": ""
        for room in (
            *("backoff", "cancellation", "first_attempt", "flat_metadata", "listing", "log_fields"),
            *("log_limit", "loop_thread", "own_address", "refusals", "service_names", "validation"),
        )
    },
}
_NAMES = {
    "pydoudou.balancers.calls.trail": ["Attempt"],
    "pydoudou.balancers.own_call": ["OwnCall"],
    "pydoudou.balancers.memory.pick": ["Pick"],
    "pydoudou.discovery.explanation": ["MemberExplanation", "ServiceExplanation"],
    "pydoudou.contrib.servers": ["RegisteredServer", "ServerStatus", "State", "Check", "DrainFirst", "CalledServer"],
    "pydoudou.contrib.simulator": ["simulate", "Simulation", "Load", "Fault", "Row"],
}
"""Of these modules not all names that others import are for programs, or they are constants of another module."""
_PARTS = {
    "pydoudou.discovery.call_findings:CallFindings",
    "pydoudou.discovery.draining:Draining",
    "pydoudou.contrib.httpx_transport:BalancedTransport",
}
"""Bases that nobody uses by themselves: what they have stands with the classes that are made of them."""
_SECTION = re.compile(r"^((?:Args|Attributes|Raises|Returns|Yields)(?:, [\w ]+)?):$")
_TOLD = {"classmethod", "staticmethod", "property", "contextmanager", "asynccontextmanager"}
_Function = ast.FunctionDef | ast.AsyncFunctionDef


def page() -> str:
    """The page, in Markdown."""
    lines = [_HEAD]
    shown: dict[str, str] = {}
    headings: Counter[str] = Counter()
    for name, about in _MODULES.items():
        module = importlib.import_module(name)
        lines += [f"## {name}", "", about or _head_line(module), ""]
        for public in _NAMES.get(name, module.__all__):
            if public.startswith("__"):
                continue
            place = _place(module, public)
            if place in shown:
                lines += [f"`{public}`: see [{public}](#{shown[place]}).", ""]
                continue
            shown[place] = _anchor(public, headings)
            lines += [*_entry(public, *_definition(place), _inherited_init(place)), *_inherited(place), ""]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).rstrip() + "\n"


def _head_line(module: ModuleType) -> str:
    return (module.__doc__ or "").partition("\n\n")[0].replace("\n", " ")


def _anchor(heading: str, before: Counter[str]) -> str:
    """Where a link finds it: the second heading of the same name has a number."""
    anchor = heading.lower()
    number = before[anchor]
    before[anchor] += 1
    return f"{anchor}-{number}" if number else anchor


def _place(module: ModuleType, name: str) -> str:
    """Where it is defined: ``pydoudou.discovery.registry:Registry``. A constant is where it is exported."""
    return f"{getattr(getattr(module, name), '__module__', None) or module.__name__}:{name}"


def _definition(place: str) -> tuple[ast.stmt, str]:
    """The statement that defines a name, and the text of a constant's docstring below it."""
    module, _, name = place.partition(":")
    body = ast.parse(inspect.getsource(importlib.import_module(module))).body
    for number, node in enumerate(body):
        if _defines(node, name):
            below = body[number + 1] if number + 1 < len(body) else None
            return node, _text(below)
    raise LookupError(place)


def _defines(node: ast.stmt, name: str) -> bool:
    if isinstance(node, ast.ClassDef | _Function):
        return node.name == name
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return any(isinstance(target, ast.Name) and target.id == name for target in targets)


def _inherited_init(place: str) -> _Function | None:
    """How a class is made that leaves that to a base of this package; None for whatever else."""
    module, _, name = place.partition(":")
    found = getattr(importlib.import_module(module), name)
    if not inspect.isclass(found) or "__init__" in vars(found):
        return None
    base = next(each for each in found.__mro__ if "__init__" in vars(each))
    if not base.__module__.startswith("pydoudou.") or attrs.has(base):
        return None
    node, _ = _definition(f"{base.__module__}:{base.__name__}")
    assert isinstance(node, ast.ClassDef)
    return _init(node)


def _init(node: ast.ClassDef) -> _Function | None:
    return next((each for each in node.body if isinstance(each, _Function) and each.name == "__init__"), None)


def _text(node: ast.stmt | None) -> str:
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
        return inspect.cleandoc(node.value.value)
    return ""


def _entry(name: str, node: ast.stmt, below: str, inherited: _Function | None) -> Iterator[str]:
    yield f"### {name}"
    yield ""
    if isinstance(node, ast.ClassDef):
        yield from _class(node, inherited)
    elif isinstance(node, _Function):
        yield from _code(_signature(node))
        yield from _prose(ast.get_docstring(node) or "")
    else:
        yield from _code([ast.unparse(node)])
        yield from _prose(below)


def _class(node: ast.ClassDef, inherited: _Function | None) -> Iterator[str]:
    bases = ", ".join(ast.unparse(base) for base in node.bases)
    head = f"class {node.name}({bases})" if bases else f"class {node.name}"
    made = _init(node) or inherited
    fields = [f"    {ast.unparse(each)}" for each in node.body if made is None and _is_field(each)]
    yield from _code(
        [head + (":" if made or fields else ""), *([f"    {line}" for line in _signature(made)] if made else fields)]
    )
    yield from _prose(ast.get_docstring(node) or "")
    if made is not None:
        yield from _prose(ast.get_docstring(made) or "")
    yield from _methods(node)


def _methods(node: ast.ClassDef) -> Iterator[str]:
    for each in node.body:
        if isinstance(each, _Function) and not each.name.startswith("_") and not _overloads(each):
            yield from _code(_signature(each))
            yield from _prose(ast.get_docstring(each) or "")


def _inherited(place: str) -> Iterator[str]:
    """What a class has from bases that are parts of it."""
    module, _, name = place.partition(":")
    found = getattr(importlib.import_module(module), name)
    for base in found.__mro__[1:] if isinstance(found, type) else ():
        there = f"{base.__module__}:{base.__name__}"
        if there in _PARTS:
            node, _ = _definition(there)
            assert isinstance(node, ast.ClassDef)
            yield from _attributes(ast.get_docstring(node) or "")
            yield from _methods(node)


def _attributes(docstring: str) -> Iterator[str]:
    """Those that a class says that it has."""
    _, found, attributes = docstring.partition("\nAttributes:\n")
    if found:
        yield from _prose(f"Attributes:\n{attributes}")


def _is_field(node: ast.stmt) -> bool:
    if isinstance(node, ast.AnnAssign):
        return isinstance(node.target, ast.Name) and not node.target.id.startswith("_")
    return isinstance(node, ast.Assign) and all(
        isinstance(each, ast.Name) and each.id.isupper() for each in node.targets
    )


def _overloads(node: _Function) -> bool:
    return any(ast.unparse(each).endswith((".setter", "overload")) for each in node.decorator_list)


def _signature(node: _Function) -> list[str]:
    """Its line, below those of the decorators that change how it is used."""
    decorators = [ast.unparse(each).rpartition(".")[2] for each in node.decorator_list]
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    word = "async def" if isinstance(node, ast.AsyncFunctionDef) else "def"
    return [
        *(f"@{each}" for each in decorators if each in _TOLD),
        f"{word} {node.name}({ast.unparse(node.args)}){returns}",
    ]


def _code(lines: list[str]) -> Iterator[str]:
    yield from ("```python", *lines, "```", "")


def _prose(docstring: str) -> Iterator[str]:
    """A docstring as Markdown: its sections become lists."""
    in_section = False
    for line in docstring.splitlines():
        if section := _SECTION.match(line):
            in_section = True
            yield from (f"**{section[1]}**", "")
        elif in_section and re.match(r"^    \S", line):
            entry = re.match(r"^    ([\w*, ]+): (.*)", line)
            yield f"- `{entry[1]}`: {entry[2]}" if entry else f"- {line.strip()}"
        elif in_section and line.startswith("    "):
            yield f"  {line.strip()}"
        elif line != "::":
            in_section = in_section and not line
            yield re.sub(r"::$", ":", line)
    yield ""


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page(), "utf-8")
