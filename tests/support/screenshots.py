"""Takes the pictures of docs/page.md: ``python tests/support/screenshots.py docs``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.browser import chromium
from support.page_scene import crowd, scene
from support.page_server import serving

from pydoudou.contrib.page import RegistryPage

__all__ = ["main"]

PAGE = "/go-doudou/registry"


def _picture(browser: Any, url: str, path: Path, *, scheme: str, width: int, height: int, **wait: int) -> None:
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
    page = context.new_page()
    page.goto(url + PAGE)
    page.locator("tbody .more").first.wait_for()
    page.wait_for_timeout(wait.get("linger", 2500))  # for the picture of the last minutes to have begun
    if opened := wait.get("opened"):
        page.locator("tbody .more").nth(opened).click()
        page.wait_for_timeout(400)
    page.screenshot(path=path)
    context.close()
    print(f"{path}: {path.stat().st_size // 1024} KB")


def main(folder: str) -> None:
    """Write them all."""
    docs = Path(folder)
    with chromium() as browser:
        with scene() as registry, serving(RegistryPage(registry)) as url:
            _picture(browser, url, docs / "page-light.png", scheme="light", width=1280, height=900, linger=25_000)
            _picture(browser, url, docs / "page-dark.png", scheme="dark", width=1280, height=900, opened=4)
            _picture(browser, url, docs / "page-phone.png", scheme="light", width=400, height=1150)
        with crowd() as (registry, _), serving(RegistryPage(registry)) as url:
            _picture(browser, url, docs / "page-5000.png", scheme="dark", width=1280, height=720)


if __name__ == "__main__":
    main(sys.argv[1])
