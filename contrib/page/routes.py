"""What each path answers, for ASGI and WSGI alike. Every route is a GET and changes nothing.

All of it blocks: it asks the drivers how they are. An event loop has it done by a thread.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Iterator, Mapping
from importlib import resources

from ...discovery import default_registry
from ...discovery.configuration.described import described
from ...discovery.registry import Registry
from ...drivers.members import Member
from ..prometheus_sd import target_groups
from .document import document
from .login import TUTORIAL, Login
from .looking import Looking
from .messages import PREFIX, Answer, Request, json_answer, text_answer
from .rows import Table
from .selection import Wish

__all__ = ["EVENTS", "Routes"]

EVENTS = "/registry.events"
"""The one path that is not answered here: a stream."""

_FILES = {
    "/registry": ("page.html", "text/html; charset=utf-8"),
    "/registry.css": ("page.css", "text/css; charset=utf-8"),
    "/registry.js": ("page.js", "text/javascript; charset=utf-8"),
    "/registry.svg": ("page.svg", "image/svg+xml"),
}
_NOTICE = "The password is the one of go-doudou’s tutorial: set GDD_MANAGE_PASS."


class Routes:
    """Answers requests about some registries.

    Args:
        registries: by name; None for the default one, whichever runs.

    Attributes:
        table: the rows.
        looking: who looks.
        login: who may.
    """

    def __init__(self, registries: Mapping[str, Registry] | None) -> None:
        self._given = registries
        self.login = Login()
        self.table = Table(self.registries)
        self.looking = Looking(self.registries, self.table.forget)
        self._paths: dict[str, Callable[[Request], Answer]] = {
            "/registry.json": self._twin,
            "/sd.json": self._targets,
            "/config": self._variables,
            "/prometheus": self._metrics,
        }

    def registries(self) -> Mapping[str, Registry]:
        """Those that there are at present, by name; not those that a fork left in this process, which do not run."""
        given = self._given
        if given is None:
            registry = default_registry.current()
            given = {} if registry is None else {"": registry}
        return {name: registry for name, registry in given.items() if not registry.inherited}

    def refusal(self, request: Request) -> Answer | None:
        """What to answer instead of what was asked for; None for who may look, and for the page's health."""
        if request.method not in ("GET", "HEAD"):
            return text_answer(405, "GET only: nothing can be changed here.", allow="GET, HEAD")
        if request.path == "/health":
            return None
        registry = self._first()
        if registry is None:
            return text_answer(503, "No registry runs in this process.", retry_after="1")
        settings = registry.settings
        return self.login.refusal(request, settings.manage_user, settings.manage_pass)

    @property
    def ending(self) -> bool:
        """Whether this process takes its leave, or its registry has ended: who looks has to look elsewhere."""
        registry = self._first()
        return registry is None or (registry.running and registry.status().presence in ("draining", "left"))

    @property
    def notice(self) -> str:
        """What whoever looks has to know first; "" for nothing."""
        registry = self._first()
        settings = None if registry is None else registry.settings
        return _NOTICE if settings is not None and (settings.manage_user, settings.manage_pass) == TUTORIAL else ""

    def answer(self, request: Request, *, live: bool) -> Answer:
        """The answer to any request but one for `EVENTS`.

        Args:
            live: whether the page may open a stream of events; else it polls.
        """
        refused = self.refusal(request)
        return self.found(request, live=live) if refused is None else refused

    def found(self, request: Request, *, live: bool) -> Answer:
        """The same for one that is not refused."""
        if request.path == "/health":
            return self._health()
        if request.path in _FILES:
            return _file(request, live)
        if request.path in ("", "/") and request.root in ("", PREFIX):
            return Answer(307, headers={"location": f"{PREFIX}/registry"})
        route = self._paths.get(request.path)
        return text_answer(404, "Nothing is here.") if route is None else route(request)

    def _first(self) -> Registry | None:
        """The registry whose settings say who may look."""
        return next(iter(self.registries().values()), None)

    def _twin(self, request: Request) -> Answer:
        self.looking.glance()
        self.table.refresh()
        wish = Wish.of(request.query)
        asked = hashlib.sha256(repr((id(self), self.table.version, wish, self.notice)).encode()).hexdigest()
        etag = f'"{asked[:32]}"'
        if request.headers.get("if-none-match") == etag:
            return Answer(304, headers={"etag": etag})
        return json_answer(document(self.table, wish, self.notice), etag=etag)

    def _targets(self, request: Request) -> Answer:
        self.looking.glance()
        members = [member for registry in self.registries().values() for member in _members(registry)]
        return json_answer(target_groups(members))

    def _variables(self, request: Request) -> Answer:
        prefix, blocks = request.query.get("pre", ""), []
        for name, registry in self.registries().items():
            lines = [f"# {name}"] if name else []
            for each in described(registry.settings):
                if each.name.startswith(prefix):
                    problem = f"; {each.problem}" if each.problem else ""
                    lines.append(_line(f"{each.name}={each.value}  # {each.source}{problem}"))
            blocks.append("\n".join(lines))
        return text_answer(200, "\n\n".join(blocks))

    def _metrics(self, request: Request) -> Answer:
        try:
            from .exposition import CONTENT_TYPE, exposition
        except ModuleNotFoundError as error:
            return text_answer(501, f"{error}.")
        return Answer(200, exposition(self._given), {"content-type": CONTENT_TYPE})

    def _health(self) -> Answer:
        registries = self.registries()
        statuses = [registry.status() for registry in registries.values()]
        if statuses and all(status.ready for status in statuses):
            return text_answer(200, "ready")
        if any(status.presence in ("draining", "left") for status in statuses):
            return text_answer(503, "draining")
        running = any(status.running for status in statuses)
        return text_answer(503, "unready" if running else "stopped")


def _members(registry: Registry) -> Iterator[Member]:
    for snapshot in registry.status().snapshots:
        yield from snapshot.members


def _line(text: str) -> str:
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def _file(request: Request, live: bool) -> Answer:
    name, kind = _FILES[request.path]
    body, etag = _read(name, live)
    headers = {"content-type": kind, "cache-control": "private, no-cache", "etag": etag}
    if request.headers.get("if-none-match") == etag:
        return Answer(304, headers=headers)
    return Answer(200, body, headers)


@functools.cache
def _read(name: str, live: bool) -> tuple[bytes, str]:
    body = resources.files(__package__).joinpath("static", name).read_bytes()
    if not live:
        body = body.replace(b'data-live="events"', b'data-live="poll"')
    return body, f'"{hashlib.sha256(body).hexdigest()[:32]}"'
