"""The word cloud system with one part after the other missing: what the user is told, and what becomes of the task."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from support.waiting import eventually
from support.wordcloud import Person, drawing, part, running, skip_without

skip_without()

pytestmark = pytest.mark.timeout(240)

ENGLISH = b"Gossip spreads news. Gossip finds members, members hear gossip; every member hears news from members.\n"


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("BIZ_PATIENCE", "1")  # seconds: what is down here stays so
        with running(tmp_path_factory.mktemp("wordcloud")) as started:
            yield started


@pytest.fixture(scope="module")
def person(system: Any) -> Iterator[Person]:
    with Person(system.url) as signed_in:
        yield signed_in


@pytest.mark.parametrize(("name", "is_failed_task"), [("segsvc", True), ("usersvc", False), ("tasksvc", True)])
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

    def is_told() -> bool:
        """Also of the upload whose task could not be saved."""
        return any(task["status"] == 3 and task["error"] == answer.text for task in person.tasks())

    if is_failed_task:
        eventually(is_told, timeout=20.0)
    # One that could not be saved is saved first, and then told to have failed.
    eventually(lambda: not [task for task in person.all_tasks() if task["status"] == 1], timeout=20.0)


def test_a_store_that_is_down_is_503_and_leaves_no_task(system: Any, person: Person) -> None:
    before = len(person.all_tasks())
    gone = part(system, "store")
    gone.stop()
    try:
        answer = person.upload(ENGLISH)
        assert (answer.status_code, "cannot be stored" in answer.text) == (503, True), answer.text
        assert len(person.all_tasks()) == before
    finally:
        gone.start()
        gone.wait()
    eventually(lambda: person.upload(ENGLISH).status_code == 200, timeout=60.0)


def test_a_picture_that_cannot_be_stored_is_a_failed_task(system: Any, person: Person) -> None:
    store = part(system, "store")
    with drawing(system, person, ENGLISH) as uploading:
        store.stop()
    answer = uploading.result(60)
    try:
        assert (answer.status_code, "cannot be stored" in answer.text) == (503, True), answer.text
        task = person.tasks(size=1)[0]
        assert (task["status"], task["imgUrl"], task["error"]) == (3, "", answer.text)
    finally:
        store.start()
        store.wait()
    eventually(lambda: person.upload(ENGLISH).status_code == 200, timeout=60.0)


def test_a_task_of_which_nobody_tells_how_it_ended_has_failed(system: Any, person: Person) -> None:
    """Whoever drew it for the user, bff, was killed: what it would have told is taken out of the database."""
    made = person.upload(ENGLISH).json()["data"]
    with contextlib.closing(sqlite3.connect(system.folder / "wordcloud.db")) as database:
        for hours, status in ((0, 1), (1, 3)):
            changed = "UPDATE t_word_cloud_task SET status = 1, create_at = datetime('now', ?) WHERE id = ?"
            database.execute(changed, (f"-{hours} hours", made["taskId"]))
            database.commit()
            assert next(task["status"] for task in person.tasks() if task["id"] == made["taskId"]) == status
    tasks = f"http://127.0.0.1:{part(system, 'tasksvc').port}/task/success"
    httpx.post(tasks, json={"taskId": made["taskId"], "imgUrl": made["imgUrl"]}).raise_for_status()
    assert person.tasks(size=1)[0]["status"] == 2, "one that tells late is heard"
