"""What cannot work is refused where it is given: the error names the argument, what it is, and what is accepted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pydoudou.contrib import asgi, starlette, wsgi
from pydoudou.contrib.flask import Doudou
from pydoudou.contrib.page import RegistryPage
from pydoudou.contrib.protection import asgi as protected_asgi
from pydoudou.contrib.protection import wsgi as protected_wsgi


def app(*_: Any) -> Any:
    raise AssertionError("nothing is called")


INTEGRATIONS: dict[str, Callable[..., object]] = {
    "asgi": lambda **given: asgi.Registered(app, **given),
    "wsgi": lambda **given: wsgi.Registered(app, **given),
    "starlette": lambda **given: starlette.lifespan(**given),
}


@pytest.mark.parametrize("integration", INTEGRATIONS.values(), ids=INTEGRATIONS.keys())
@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        ({"check": 5}, TypeError, "the check is a int; accepted: a path such as /healthz"),
        ({"check": "healthz"}, ValueError, "the check is 'healthz'"),
        ({"scheme": "ftp"}, ValueError, "the scheme is 'ftp'; accepted: http, https"),
        ({"settings": {"GDD_PORT": "1"}}, TypeError, "settings is a dict; accepted: Settings"),
        ({"data": "zone=a"}, TypeError, "data is a str; accepted: a mapping"),
        ({"drain": "2s"}, TypeError, "drain is a str; accepted: seconds, 0 or more"),
        ({"drain": -1}, ValueError, "drain is -1; accepted: seconds, 0 or more"),
    ],
    ids=lambda given: next(iter(given)) if isinstance(given, dict) else "",
)
def test_a_registration_that_cannot_work_is_refused_at_once(
    integration: Callable[..., object], given: dict[str, object], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        integration(**given)


def test_the_settings_of_an_extension_are_refused_when_it_gets_its_application() -> None:
    flask = pytest.importorskip("flask")
    with pytest.raises(TypeError, match="settings is a dict; accepted: Settings"):
        Doudou(flask.Flask("orders"), settings={})  # type: ignore[arg-type]


@pytest.mark.parametrize("limits", [protected_asgi.RateLimit, protected_wsgi.RateLimit], ids=["asgi", "wsgi"])
def test_a_store_that_counts_nothing_is_refused(limits: Callable[..., object]) -> None:
    with pytest.raises(TypeError, match="store is a str; accepted: a RedisStore or a MemoryStore, or None"):
        limits(app, "10/s", store="redis://localhost")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("orders", "registries is a str; accepted: a mapping"),
        ([], "registries is a list"),
        ({}, "registries is empty"),
        ({"orders": 5}, "registries has no Registry under"),
    ],
)
def test_a_page_of_no_registry_is_refused(given: Any, said: str) -> None:
    with pytest.raises(TypeError, match=said):
        RegistryPage(given)
