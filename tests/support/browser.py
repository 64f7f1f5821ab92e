"""A real browser: Debian's Chromium, driven by Playwright."""

from __future__ import annotations

import contextlib
import importlib.util
import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser

__all__ = ["chromium", "missing"]

_NAMES = ("chromium", "chromium-browser", "google-chrome")


def missing() -> str:
    """What is missing for a browser, and how to get it; "" if nothing is."""
    if importlib.util.find_spec("playwright") is None:
        return "no browser can be driven without playwright: make venv, or pip install playwright"
    if not any(map(shutil.which, _NAMES)):
        return "there is no browser: apt-get install --no-install-recommends chromium"
    return ""


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """The browser, or the test is skipped with the reason."""
    if reason := missing():
        pytest.skip(reason)
    from playwright.sync_api import sync_playwright

    path = next(found for name in _NAMES if (found := shutil.which(name)))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path)
        try:
            yield browser
        finally:
            browser.close()
