"""The word cloud system: from a text to a picture, with one part after the other missing."""

from __future__ import annotations

import collections
import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.browser import chromium
from support.nacos import nacos_variables
from support.waiting import eventually
from support.wordcloud import RUN, Person, part, running, skip_without, upload_in_page

skip_without()

import jwt
from PIL import Image
from wordcloud_app.picture import NoFont, draw, lay_out
from wordcloud_app.words import frequencies

pytestmark = pytest.mark.timeout(240)

ENGLISH = b"Gossip spreads news. Gossip finds members, members hear gossip; every member hears news from members.\n" * 3
CHINESE = "服务发现是微服务的基础。节点之间用流言协议交换消息，节点都知道集群的成员，成员离开集群，节点广播消息。"
SERVICES = {f"wordcloud-{name}": 1 for name in ("bff", "usersvc", "tasksvc", "segsvc", "makersvc")}


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


@pytest.mark.parametrize("discovery", ["memberlist", "nacos", "memberlist,nacos", "mono"])
def test_one_command_starts_everything_and_stops_it(
    discovery: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    file = tmp_path / "text.txt"
    file.write_bytes(ENGLISH)
    variables = {}
    if "nacos" in discovery:
        variables = nacos_variables(request.getfixturevalue("nacos").address)
    done = subprocess.run(
        [sys.executable, RUN, "--once", file, "--lang", "en", "--discovery", discovery, "--folder", tmp_path / "data"],
        capture_output=True,
        text=True,
        timeout=200,
        env={**os.environ, **variables},
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["status"] == 200
    assert told["image_bytes"] > 1000
    if discovery != "mono":
        assert told["services"] == SERVICES
    left = subprocess.run(["pgrep", "-f", str(tmp_path)], capture_output=True, text=True).stdout
    assert not left, f"processes are left: {left}"


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
            assert page.inner_text("#upload .failed") == ""
            with httpx.Client(base_url=system.url) as client:
                picture = client.get(page.get_attribute("#picture", "src") or "").content
            is_drawn(picture, file.read_text(), language)
        page.wait_for_selector("#tasks tr .done")
        assert not page.evaluate("document.documentElement.scrollWidth > innerWidth"), "it scrolls sideways"
        page.click("#out")
        page.wait_for_selector("#sign-in:not([hidden])")


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
        assert httpx.get(f"{system.url}task/page", headers={"authorization": given}).status_code == 401
    with Person(system.url) as other:
        assert other.get("usersvc/logout").status_code == 200
        assert other.get("task/page", params={"page": 1, "pageSize": 1}).status_code == 401
    assert person.get("usersvc/me").json()["data"]["username"] == "jackchen"


def test_a_name_is_used_once_and_not_guessed_at(system: Any) -> None:
    new = {"username": f"new-{time.monotonic_ns()}", "password": "correct"}
    with httpx.Client(base_url=system.url, timeout=60.0) as client:
        statuses = [client.post("usersvc/public/sign/up", data=new).status_code for _ in range(2)]
        assert statuses == [200, 406]
        wrong = [client.post("usersvc/public/log/in", data={**new, "password": "wrong"}) for _ in range(7)]
        assert [answer.status_code for answer in wrong] == [401] * 5 + [429] * 2
        assert client.post("usersvc/public/log/in", data=new).status_code == 429


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


def test_a_maker_fetches_from_its_store_alone(system: Any) -> None:
    maker = f"http://127.0.0.1:{part(system, 'makersvc').port}/make"
    for url in (
        "http://127.0.0.1:1/secret",
        "file:///etc/passwd",
        f"http://127.0.0.1:{part(system, 'store').port}/other/x",
    ):
        answer = httpx.post(maker, json={"srcUrl": url, "lang": "en", "top": 1})
        assert (answer.status_code, "srcUrl" in answer.text) == (400, True)


# -- what is down ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "is_failed_task"), [("segsvc", True), ("usersvc", False), ("tasksvc", False)])
def test_a_service_that_is_down_is_503_and_comes_back(
    system: Any, person: Person, name: str, is_failed_task: bool
) -> None:
    gone = part(system, name)
    gone.stop()
    try:
        answer = person.upload(ENGLISH)
        assert (answer.status_code, f"wordcloud-{name} cannot be reached" in answer.text) == (503, True), answer.text
    finally:
        gone.start()
        gone.wait()
    eventually(lambda: person.upload(ENGLISH).status_code == 200, timeout=60.0)
    if is_failed_task:
        assert any(task["status"] == 3 and f"wordcloud-{name}" in task["error"] for task in person.tasks())
    assert not [task for task in person.tasks() if task["status"] == 1], "every task has ended"


def test_a_store_that_is_down_is_503_and_leaves_no_task(system: Any, person: Person) -> None:
    before = len(person.tasks())
    gone = part(system, "store")
    gone.stop()
    try:
        answer = person.upload(ENGLISH)
        assert (answer.status_code, "cannot be stored" in answer.text) == (503, True), answer.text
        assert len(person.tasks()) == before
    finally:
        gone.start()
        gone.wait()
    eventually(lambda: person.upload(ENGLISH).status_code == 200, timeout=60.0)


# -- at a terminal -----------------------------------------------------------------------------------------------------


def test_the_table_is_shown_until_ctrl_c(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, RUN, "--folder", tmp_path], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as started:
        assert started.stdout is not None
        lines = []
        for line in started.stdout:
            lines.append(line)
            if "Ctrl-C stops everything" in line:
                break
        started.send_signal(2)
        assert started.wait(60) == 0, "".join(lines)
