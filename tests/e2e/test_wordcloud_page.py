"""The page of the word cloud system, and answers that come late or in another order; the server is a script."""

from __future__ import annotations

import json
import mimetypes
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from support.browser import chromium
from support.slow_answers import SlowAnswers
from support.wordcloud import HERE

URL = "http://wordcloud.test/"
TASKS = 21
LIST = "/task/page"


def expect(locator: Any) -> Any:
    from playwright.sync_api import expect as expected

    return expected(locator)


class Server:
    """What bff answers: everybody's password is right, a token is its user's name, and each has 21 failed tasks."""

    def __init__(self) -> None:
        self.refused: set[str] = set()
        self.uploads: list[Any] | None = None
        """Where uploads wait for their answers; None: nowhere."""

    def answer(self, route: Any) -> None:
        request = route.request
        where = urlsplit(request.url)
        user = request.headers.get("authorization", "").removeprefix("Bearer ")
        if where.path == "/" or where.path.startswith("/ui/"):
            file = HERE / "ui" / (where.path.removeprefix("/ui/").strip("/") or "index.html")
            route.fulfill(body=file.read_bytes(), content_type=mimetypes.guess_type(file)[0])
        elif user in self.refused:
            route.fulfill(status=401, body="sign in first")
        elif where.path == "/upload" and self.uploads is not None:
            self.uploads.append(route)
        else:
            route.fulfill(body=json.dumps(self._told(request, where, user)), content_type="application/json")

    def _told(self, request: Any, where: Any, user: str) -> dict[str, Any]:
        if where.path == "/usersvc/public/log/in":
            return {"data": parse_qs(request.post_data)["username"][0]}
        if where.path == "/usersvc/me":
            return {"data": {"username": user}}
        if where.path == "/upload":
            return {"data": {"imgUrl": f"http://store/wordcloud/{user}.png"}}
        if where.path != LIST:
            return {"data": "OK"}
        number = int(parse_qs(where.query)["page"][0])
        task = {"srcUrl": "http://store/a", "imgUrl": "", "lang": "en", "status": 3, "createAt": "today"}
        ids = range(TASKS - 10 * (number - 1), 0, -1)[:10]
        items = [{**task, "id": each, "error": f"{user} {each}"} for each in ids]
        return {"result": {"items": items, "pageNo": number, "total": TASKS, "hasNext": 10 * number < TASKS}}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def page(browser: Any, server: Server) -> Iterator[Any]:
    context = browser.new_context(locale="en-US")
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.route("**/*", server.answer)
    yield page
    context.close()
    assert errors == []


@pytest.fixture
def late(page: Any) -> SlowAnswers:
    """What holds answers back, of a page where ann has signed in and sees the first of her three parts."""
    answers = SlowAnswers(page)
    page.goto(URL)
    sign_in(page, "ann")
    expect(page.locator("#where")).to_have_text("1 of 3")
    return answers


def sign_in(page: Any, name: str) -> None:
    page.fill("[name=username]", name)
    page.fill("[name=password]", "right")
    page.keyboard.press("Enter")


def test_another_language_is_whole_in_the_moment_of_the_click(page: Any, late: SlowAnswers) -> None:
    late.hold(LIST)
    seen = page.evaluate(
        """() => {
          document.getElementById("tongue").click();
          return [document.title, ...["where", "again", "tasks"].map((id) => document.getElementById(id).innerText)];
        }"""
    )
    assert seen[:3] == ["词云", "第 1 页，共 3 页", "刷新"]
    assert seen[3].count("失败: ann") == 10
    assert "failed" not in seen[3]


def test_what_was_said_of_an_upload_is_said_in_the_other_language_too(page: Any, late: SlowAnswers) -> None:
    page.set_input_files("[name=file]", {"name": "a.txt", "mimeType": "text/plain", "buffer": b"words"})
    page.click("#upload .main")
    expect(page.locator("#upload .state")).to_contain_text("Drawn in")
    page.click("#tongue")
    expect(page.locator("#upload .state")).to_contain_text("用时")
    expect(page.locator("#picture")).to_have_attribute("alt", "a.txt 的词云图")
    page.set_input_files("[name=file]", {"name": "b.txt", "mimeType": "text/plain", "buffer": b"x" * (1 << 20) + b"y"})
    page.click("#upload .main")
    expect(page.locator("#upload .failed")).to_have_text("文件超过 1 MiB。")
    page.click("#tongue")
    expect(page.locator("#upload .failed")).to_have_text("The file has more than 1 MiB.")


def see_the_second_part_before_the_first(page: Any, late: SlowAnswers) -> None:
    """The first part is asked for, and the second one is there before the answer."""
    late.hold("page=1&")
    page.click("#again")
    late.wait(1)
    page.click("#after")
    expect(page.locator("#where")).to_have_text("2 of 3")


def test_of_two_answers_the_one_asked_for_later_is_shown(page: Any, late: SlowAnswers) -> None:
    see_the_second_part_before_the_first(page, late)
    late.let_go()
    assert page.inner_text("#where") == "2 of 3"
    assert "ann 11" in page.inner_text("#tasks tr:first-child")


def test_a_question_that_failed_after_a_later_one_was_answered_is_not_told(page: Any, late: SlowAnswers) -> None:
    see_the_second_part_before_the_first(page, late)
    late.let_go(failed=True)
    assert page.inner_text("#upload .failed") == ""


def test_clicks_before_the_answer_do_not_lead_behind_the_last_part(page: Any, late: SlowAnswers) -> None:
    late.hold(LIST)
    for _ in range(4):
        page.click("#after")
    late.wait(4)
    for _ in range(4):
        late.let_go()
    assert page.inner_text("#where") == "3 of 3"


@pytest.mark.parametrize("part", ["/usersvc/me", LIST])
def test_nobody_sees_what_was_asked_for_by_who_was_there_before(page: Any, late: SlowAnswers, part: str) -> None:
    late.hold(part)
    page.reload()
    late.wait(1)
    page.click("#out")
    late.hold("")
    sign_in(page, "bob")
    expect(page.locator("#who")).to_have_text("bob")
    expect(page.locator("#tasks tr").first).to_contain_text("bob 21")
    late.let_go()
    assert page.inner_text("#who") == "bob"
    assert "ann" not in page.inner_text("#inside")


def test_a_refusal_that_comes_late_signs_nobody_else_out(page: Any, late: SlowAnswers, server: Server) -> None:
    late.hold(LIST)
    server.refused.add("ann")
    page.click("#again")
    late.wait(1)
    page.click("#out")
    late.hold("")
    sign_in(page, "bob")
    expect(page.locator("#tasks tr").first).to_contain_text("bob 21")
    late.let_go()
    assert page.is_hidden("#sign-in")
    assert page.inner_text("#upload .failed") == ""


@pytest.mark.parametrize("refused", [False, True])
def test_an_upload_of_who_has_gone_is_nothing_to_who_came(
    page: Any, late: SlowAnswers, server: Server, refused: bool
) -> None:
    assert late
    server.uploads = []
    page.set_input_files("[name=file]", {"name": "a.txt", "mimeType": "text/plain", "buffer": b"words"})
    with page.expect_request("**/upload"):
        page.click("#upload .main")
    page.click("#out")
    sign_in(page, "bob")
    expect(page.locator("#who")).to_have_text("bob")
    (upload,) = server.uploads
    if refused:
        upload.fulfill(status=401, body="sign in first")
    else:
        upload.fulfill(json={"data": {"imgUrl": "http://store/wordcloud/ann.png"}})
    expect(page.locator("#upload .main")).to_be_enabled()
    assert page.is_hidden("#sign-in")
    assert page.is_hidden("#picture")
    assert page.inner_text("#upload .failed") == ""


def test_a_finished_upload_is_not_shown_to_who_signs_in_next(page: Any, late: SlowAnswers) -> None:
    assert late
    page.set_input_files("[name=file]", {"name": "a.txt", "mimeType": "text/plain", "buffer": b"words"})
    page.click("#upload .main")
    expect(page.locator("#upload .state")).to_contain_text("Drawn in")
    page.click("#out")
    sign_in(page, "bob")
    expect(page.locator("#who")).to_have_text("bob")
    assert page.is_hidden("#picture")
    assert page.inner_text("#upload .state") == ""


def test_leaving_that_is_confirmed_late_signs_nobody_else_out(page: Any, late: SlowAnswers, server: Server) -> None:
    late.hold("/usersvc/logout")
    page.click("#out")
    late.wait(1)
    server.refused.add("ann")
    page.click("#again")
    sign_in(page, "bob")
    expect(page.locator("#who")).to_have_text("bob")
    late.let_go()
    assert page.is_hidden("#sign-in")
