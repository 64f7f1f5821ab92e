"""Takes the pictures of docs/wordcloud.md: ``python tests/support/wordcloud_pictures.py docs``."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.browser import chromium
from support.wordcloud import running, skip_without, upload_in_page

__all__ = ["main"]

CHINESE = """词云图是文本数据的一种图形。服务发现是微服务的基础：节点之间用流言协议交换消息，每个节点都知道集群的成员。
北京的学生在图书馆学习分布式系统，上海的工程师用流言协议建设集群。成员离开集群，节点广播消息；成员加入集群，节点广播消息。
数据、服务、节点、成员、消息、集群、协议、工程师、学生、图书馆、系统、图形、文本、基础。"""


def main(folder: str) -> None:
    """Write them all."""
    docs = Path(folder)
    skip_without()
    with tempfile.TemporaryDirectory() as scratch, running(Path(scratch), {"makersvc": 3}) as system:
        chinese = Path(scratch) / "zh.txt"
        chinese.write_text(CHINESE)
        with chromium() as browser:
            for name, scheme, locale, language, file, width in (
                ("light", "light", "en-US", "en", docs / "gossip.md", 1200),
                ("dark", "dark", "zh-CN", "zh", chinese, 1200),
                ("phone", "light", "zh-CN", "zh", chinese, 400),
            ):
                size = {"width": width, "height": 800}
                page = browser.new_context(viewport=size, color_scheme=scheme, locale=locale).new_page()
                page.goto(system.url)
                page.fill("[name=password]", "1234")
                page.keyboard.press("Enter")
                page.wait_for_selector("#inside:not([hidden])")
                upload_in_page(page, language, file)
                page.wait_for_function("[...document.images].every(image => image.complete)")
                path = docs / f"wordcloud-{name}.png"
                page.screenshot(path=path, full_page=True)
                print(f"{path}: {path.stat().st_size // 1024} KB")
            login = {"username": "admin", "password": "admin"}
            page = browser.new_context(viewport={"width": 1200, "height": 700}, http_credentials=login).new_page()
            page.goto(f"{system.url}go-doudou/registry")
            page.locator("tbody .more").nth(6).wait_for()
            path = docs / "wordcloud-registry.png"
            page.screenshot(path=path)
            print(f"{path}: {path.stat().st_size // 1024} KB")


if __name__ == "__main__":
    main(sys.argv[1])
