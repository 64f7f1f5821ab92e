"""The word cloud system: from a text to a picture, and who and what is refused."""

from __future__ import annotations

import collections
import io
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.browser import chromium
from support.wordcloud import Person, part, running, skip_without, upload_in_page

skip_without()

import jwt
from PIL import Image
from wordcloud_app.picture import NoFont, draw, lay_out
from wordcloud_app.words import frequencies

pytestmark = pytest.mark.timeout(240)

ENGLISH = b"Gossip spreads news. Gossip finds members, members hear gossip; every member hears news from members.\n" * 3
CHINESE = "服务发现是微服务的基础。节点之间用流言协议交换消息，节点都知道集群的成员，成员离开集群，节点广播消息。"


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with running(tmp_path_factory.mktemp("wordcloud")) as started:
        yield started


@pytest.fixture(scope="module")
def person(system: Any) -> Iterator[Person]:
    with Person(system.url) as signed_in:
        yield signed_in


def words_of(text: str, language: str) -> dict[str, float]:
    return {word: count for word, _, count in frequencies(text, language)}


def chinese_can_be_drawn() -> bool:
    try:
        draw({"成员": 1}, "zh")
    except NoFont:
        return False
    return True


def is_drawn(picture: bytes, text: str, language: str) -> None:
    """It is no blank sheet, the words in it are of the text, and drawn again it is the same."""
    colours = Image.open(io.BytesIO(picture)).convert("RGB").getcolors(1 << 24)
    assert colours is not None
    assert len(colours) > 10
    words = words_of(text, language)
    placed = [entry[0][0] for entry in lay_out(words, language).layout_]
    assert placed
    assert all(word in text.lower() for word in placed)
    assert picture == draw(words, language)


# -- a text becomes a picture ------------------------------------------------------------------------------------------


def test_an_upload_becomes_a_picture_of_its_words(person: Person) -> None:
    answer = person.upload(ENGLISH)
    assert answer.status_code == 200, answer.text
    made = answer.json()["data"]
    is_drawn(person.picture(made["imgUrl"]), ENGLISH.decode(), "en")
    task = person.tasks(size=1)[0]
    assert (task["id"], task["status"], task["imgUrl"]) == (made["taskId"], 2, made["imgUrl"])
    assert task["username"] == "jackchen"


def test_fewer_words_than_asked_for_are_all_drawn(person: Person) -> None:
    assert person.upload(b"alone", top=500).status_code == 200
    one = person.upload(ENGLISH, top=1).json()["data"]
    (most, _), *_ = collections.Counter(words_of(ENGLISH.decode(), "en")).most_common(1)
    assert person.picture(one["imgUrl"]) == draw({most: words_of(ENGLISH.decode(), "en")[most]}, "en")


def test_in_a_browser(system: Any, tmp_path: Path) -> None:
    english, chinese = tmp_path / "english.txt", tmp_path / "chinese.txt"
    english.write_bytes(ENGLISH)
    chinese.write_text(CHINESE)
    texts = {"en": english} | ({"zh": chinese} if chinese_can_be_drawn() else {})
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 400, "height": 800})
        page.set_default_timeout(60_000)
        page.goto(system.url)
        page.fill("[name=password]", "wrong")
        page.click("#sign-in button")
        page.wait_for_selector("#sign-in .failed:not(:empty)")
        page.fill("[name=password]", "1234")
        page.keyboard.press("Enter")
        for language, file in texts.items():
            upload_in_page(page, language, file)
            source = page.get_attribute("#picture", "src") or ""
            page.wait_for_selector(f'#tasks img[src="{source}"]')  # listed too, or it would have failed by now
            assert page.inner_text("#upload .failed") == ""
            with httpx.Client(base_url=system.url) as client:
                picture = client.get(source).content
            is_drawn(picture, file.read_text(), language)
        page.wait_for_selector("#tasks tr .done")
        assert not page.evaluate("document.documentElement.scrollWidth > innerWidth"), "it scrolls sideways"
        page.click("#out")
        page.wait_for_selector("#sign-in:not([hidden])")


def test_the_page_lists_tasks_in_parts_with_their_reasons_in_either_language(system: Any) -> None:
    new = {"username": f"new-{time.monotonic_ns()}", "password": "correct"}
    with httpx.Client(base_url=system.url, timeout=60.0) as client:
        user = client.post("usersvc/public/sign/up", data=new).raise_for_status().json()["data"]
    with httpx.Client(base_url=f"http://127.0.0.1:{part(system, 'tasksvc').port}") as tasks:
        for number in range(11):
            task = {"userId": user, "srcUrl": f"{system.url}oss/{user}/{number}", "lang": "zh", "top": 1}
            saved = tasks.post("/task/save", json=task).raise_for_status().json()["data"]
            failed = {"taskId": saved, "error": f"reason {number}"}
            tasks.post("/task/fail", json=failed).raise_for_status()
    with chromium() as browser:
        page = browser.new_context(locale="en-US").new_page()
        page.goto(system.url)
        page.fill("[name=username]", new["username"])
        page.fill("[name=password]", new["password"])
        page.keyboard.press("Enter")
        page.wait_for_selector("#tasks tr")
        assert page.locator("#tasks tr").count() == 10
        assert "reason 10" in page.inner_text("#tasks tr:first-child")
        assert page.inner_text("#where") == "1 of 2"
        page.click("#after")
        page.wait_for_selector("#tasks tr:only-child")
        assert "reason 0" in page.inner_text("#tasks")
        page.route("**/task/page*", lambda route: route.abort())  # what is shown already needs no other answer
        page.click("#tongue")
        page.wait_for_selector("html[lang=zh]")
        assert (page.inner_text("#where"), page.title()) == ("第 2 页，共 2 页", "词云")
        assert "失败" in page.inner_text("#tasks")
        registry = page.get_attribute("nav a", "href") or ""
        assert httpx.get(system.url.rstrip("/") + registry, auth=("admin", "admin")).status_code == 200


def test_without_a_font_chinese_is_told_how_to_be_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wordcloud_app.picture.FONTS", ())
    with pytest.raises(NoFont, match="install fonts-wqy-zenhei"):
        draw({"成员": 1}, "zh")


# -- what is refused ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "lang", "top", "status", "reason"),
    [
        (b"x" * (1 << 20) + b"y", "en", 0, 413, "more than 1048576 bytes"),
        (b"", "en", 0, 400, "empty"),
        (b" \n", "en", 0, 400, "empty"),
        (b"\xff\xfe\x00", "en", 0, 400, "no text in UTF-8"),
        (ENGLISH, "fr", 0, 400, "accepted: zh, en"),
        (ENGLISH, "en", -1, 400, "0 (all) to 500"),
        (ENGLISH, "en", 10**9, 400, "0 (all) to 500"),
        (ENGLISH, "en", "many", 400, "parameter top"),
    ],
)
def test_what_cannot_be_drawn_is_refused(
    person: Person, content: bytes, lang: str, top: object, status: int, reason: str
) -> None:
    before = len(person.tasks())
    answer = person.upload(content, lang, top)
    assert (answer.status_code, reason in answer.text) == (status, True), answer.text
    assert len(person.tasks()) == before, "nothing is half done"


def test_a_text_without_words_is_a_failed_task(person: Person) -> None:
    answer = person.upload(b"1 2 3 the and")
    assert answer.status_code == 400
    task = person.tasks(size=1)[0]
    assert (task["status"], task["error"]) == (3, answer.text)


def test_without_a_parameter(person: Person) -> None:
    assert person.post("upload", data={"lang": "en"}).text == "missing parameter file"
    assert person.get("task/page").status_code == 400


@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
def test_only_who_signed_in_gets_in(system: Any, person: Person) -> None:
    old = jwt.encode({"userId": 1, "exp": datetime.now(UTC) - timedelta(seconds=1)}, "secret", "HS256")
    forged = jwt.encode({"userId": 1, "exp": datetime.now(UTC) + timedelta(hours=1)}, "guessed", "HS256")
    for given in ("", "Basic YTpi", "Bearer nonsense", f"Bearer {old}", f"Bearer {forged}"):
        headers = {"authorization": given}
        assert httpx.get(f"{system.url}task/page", headers=headers).status_code == 401
        upload = httpx.post(f"{system.url}upload", files={"file": ENGLISH}, data={"lang": "en"}, headers=headers)
        assert (upload.status_code, upload.text) == (401, "sign in first")
    with Person(system.url) as other:
        assert other.get("usersvc/logout").status_code == 200
        assert other.get("task/page", params={"page": 1, "pageSize": 1}).status_code == 401
    assert person.get("usersvc/me").json()["data"]["username"] == "jackchen"


def test_a_name_is_used_once(system: Any) -> None:
    new = {"username": f"new-{time.monotonic_ns()}", "password": "correct"}
    with httpx.Client(base_url=system.url, timeout=60.0) as client:
        statuses = [client.post("usersvc/public/sign/up", data=new).status_code for _ in range(2)]
        assert statuses == [200, 406]
        assert client.post("usersvc/public/log/in", data=new).status_code == 200


def test_of_a_hundred_wrong_passwords_at_once_five_are_tried_and_nobody_else_waits(system: Any) -> None:
    guessed = {"username": f"new-{time.monotonic_ns()}", "password": "correct"}
    with httpx.Client(base_url=system.url, timeout=60.0) as client, ThreadPoolExecutor(100) as threads:
        client.post("usersvc/public/sign/up", data=guessed).raise_for_status()
        wrong = {**guessed, "password": "wrong"}
        tries = [threads.submit(client.post, "usersvc/public/log/in", data=wrong) for _ in range(100)]
        with Person(system.url) as person:
            assert person.tasks(size=1) is not None
        statuses = collections.Counter(done.result().status_code for done in tries)
        assert statuses == {401: 5, 429: 95}
        assert client.post("usersvc/public/log/in", data=guessed).status_code == 429


def test_a_name_that_nobody_has_is_as_slow_as_one_that_somebody_has(system: Any) -> None:
    def seconds(name: str) -> float:
        began = time.monotonic()
        answer = httpx.post(f"{system.url}usersvc/public/log/in", data={"username": name, "password": "wrong"})
        assert answer.status_code == 401
        return time.monotonic() - began

    nobody = min(seconds(f"nobody-{time.monotonic_ns()}") for _ in range(3))
    assert nobody > 0.5 * min(seconds("jackchen") for _ in range(3))
    with Person(system.url):  # the right one forgets the wrong ones
        pass


def test_nobody_sees_the_tasks_of_another(system: Any, person: Person) -> None:
    person.upload(ENGLISH).raise_for_status()
    new = {"username": f"new-{time.monotonic_ns()}", "password": "correct"}
    httpx.post(f"{system.url}usersvc/public/sign/up", data=new, timeout=60.0).raise_for_status()
    with Person(system.url, new["username"], new["password"]) as other:
        assert other.tasks() == []


def test_users_and_tasks_are_listed_in_parts(system: Any, person: Person) -> None:
    users = f"http://127.0.0.1:{part(system, 'usersvc').port}/page/users"
    one = httpx.post(users, json={"page": {"pageNo": 1, "size": 1}}, headers=person.headers).json()["data"]
    assert [user["username"] for user in one["items"]] == ["jackchen"]
    assert (one["pageNo"], one["pageSize"], one["hasNext"]) == (1, 1, one["total"] > 1)
    for _ in range(2):
        person.upload(ENGLISH).raise_for_status()
    latest, before = (person.tasks(page=number, size=1)[0]["id"] for number in (1, 2))
    assert latest > before


def test_a_user_has_a_picture_that_everybody_may_see(system: Any, person: Person) -> None:
    with httpx.Client(base_url=f"http://127.0.0.1:{part(system, 'usersvc').port}", headers=person.headers) as users:
        for content, kind, status in ((b"x" * ((1 << 20) + 1), "image/png", 400), (b"x", "text/html", 400)):
            assert users.post("/upload/avatar", files={"avatar": ("a", content, kind)}).status_code == status
        assert users.post("/upload/avatar", files={"avatar": ("a", b"picture", "image/png")}).json() == {"data": "OK"}
        assert users.get("/user", params={"userId": 1}).json()["data"]["username"] == "jackchen"
        assert users.get("/user", params={"userId": 10**6}).status_code == 406
        del users.headers["authorization"]
        found = users.get("/public/download/avatar", params={"userId": 1})
        assert (found.content, found.headers["content-type"]) == (b"picture", "image/png")
        assert users.get("/public/download/avatar", params={"userId": 10**6}).status_code == 404
        assert users.get("/user", params={"userId": 1}).status_code == 401


def test_seg_answers_as_the_original_does(system: Any) -> None:
    with httpx.Client(base_url=f"http://127.0.0.1:{part(system, 'segsvc').port}") as seg:
        found = seg.post("/seg", json={"text": CHINESE, "lang": ""}).json()["rs"]["WordFreq"]
        assert found == [list(word) for word in frequencies(CHINESE, "zh")]
        assert found[0][0] == "节点"
        assert all(kind.startswith("n") for _, kind, _ in found)
        assert seg.post("/seg", json={"text": "x", "lang": "fr"}).status_code == 400
        assert seg.post("/seg", json={"text": "x" * ((1 << 20) + 1), "lang": "en"}).status_code == 400


def test_a_maker_fetches_from_its_store_alone(system: Any) -> None:
    maker = f"http://127.0.0.1:{part(system, 'makersvc').port}/make"
    store = f"http://127.0.0.1:{part(system, 'store').port}"
    for url in ("http://127.0.0.1:1/secret", "file:///etc/passwd", f"{store}/other/x", f"{store}/wordcloud/../other/x"):
        answer = httpx.post(maker, json={"srcUrl": url, "lang": "en", "top": 1})
        assert (answer.status_code, "srcUrl" in answer.text) == (400, True)


def test_a_maker_draws_nothing_of_what_is_not_there_too_large_or_no_text(system: Any, person: Person) -> None:
    person.upload(ENGLISH).raise_for_status()  # makes the bucket
    maker = f"http://127.0.0.1:{part(system, 'makersvc').port}/make"
    bucket = f"http://127.0.0.1:{part(system, 'store').port}/wordcloud"
    for name, content in (("large", b"words " * (1 << 18)), ("binary", b"\xff\xfe\x00")):
        httpx.put(f"{bucket}/{name}", content=content).raise_for_status()
    for name, reason in (("missing", "nothing at"), ("large", "more than 1048576 bytes"), ("binary", "UTF-8")):
        answer = httpx.post(maker, json={"srcUrl": f"{bucket}/{name}", "lang": "en", "top": 1}, timeout=30.0)
        assert (answer.status_code, reason in answer.text) == (400, True), answer.text
