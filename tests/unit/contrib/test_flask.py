"""When an application of Flask begins to be registered: everything else is seen from outside."""

from __future__ import annotations

import os

import pytest
from support.scripted import ScriptedPlugin, settings
from support.waiting import eventually

from pydoudou.discovery import default_registry

flask = pytest.importorskip("flask")


def test_an_application_under_test_is_not_registered_and_one_that_is_served_is() -> None:
    from pydoudou.contrib.flask import Doudou

    app = flask.Flask("orders")
    app.testing = True
    chosen = settings(ScriptedPlugin(), register=True, service_name="orders", register_host="127.0.0.1", port=6060)
    Doudou(app, settings=chosen)
    server = app.extensions["doudou"]
    try:
        assert app.test_client().get("/").status_code == 404
        assert (server.begun, default_registry.current()) == ({}, None)
        app.testing = False
        for _ in range(2):
            assert app.test_client().get("/").status_code == 404
        assert list(server.begun) == [os.getpid()]
        eventually(lambda: default_registry.current() is not None)
    finally:
        server.stop()
