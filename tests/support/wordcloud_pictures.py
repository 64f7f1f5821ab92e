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
故障检测依靠心跳和探针：节点向邻居发送探针，邻居没有回答，节点请朋友帮忙；朋友也没有回答，成员成为嫌疑，消息传遍集群。
清晨的城市里，邮递员骑自行车经过桥梁和市场，把信件交给居民；居民把新闻告诉邻居，邻居告诉朋友，傍晚整座城市都知道新闻。
春天的花园有桃花、柳树和蝴蝶，夏天的海边有渔船、沙滩和贝壳，秋天的田野有稻谷、果园和农民，冬天的山谷有雪花、松树和炉火。
老师在教室讲故事，孩子用铅笔画月亮、星星、太阳和火车；音乐家在剧院演奏钢琴和小提琴，观众用掌声表达心情。
医生、厨师、画家、司机、记者、科学家，每种职业都需要知识、耐心和时间。数据、服务、节点、成员、消息、集群、协议、系统、文本、图形。"""


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
                page.wait_for_selector("#tasks tr .done")
                page.wait_for_function("() => [...document.images].every(image => image.complete)")
                path = docs / f"wordcloud-{name}.png"
                page.screenshot(path=path, full_page=True)
                print(f"{path}: {path.stat().st_size // 1024} KB")
            login = {"username": "admin", "password": "admin"}
            page = browser.new_context(viewport={"width": 1200, "height": 1080}, http_credentials=login).new_page()
            page.goto(f"{system.url}go-doudou/registry")
            page.locator("tbody .more").nth(6).wait_for()
            # Eight processes that begin at once make each other late, which goes by.
            page.locator(".doubt").wait_for(state="detached", timeout=90_000)
            path = docs / "wordcloud-registry.png"
            page.screenshot(path=path)
            print(f"{path}: {path.stat().st_size // 1024} KB")


if __name__ == "__main__":
    main(sys.argv[1])
