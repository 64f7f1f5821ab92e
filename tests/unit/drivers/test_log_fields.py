"""The fields of log records: what they hold, and that they are the ones that the manual has."""

from __future__ import annotations

import logging
import re
from pathlib import Path

import pytest
from support.log_page import page

from pydoudou.drivers.kit.log_fields import FIELDS, fields
from pydoudou.drivers.kit.log_limit import RateLimitedLog

MANUAL = Path(__file__).parents[3] / "docs" / "logging.md"


def test_what_is_empty_is_left_out_and_what_others_wrote_is_escaped() -> None:
    assert fields(service="orders", node="", reason=OSError("a\nb")) == {
        "pydoudou_service": "orders",
        "pydoudou_reason": "a\\nb",
    }


def test_the_manual_has_every_field() -> None:
    rows = dict(re.findall(r"^\| `pydoudou_(\w+)` \| (.*) \|$", MANUAL.read_text("utf-8"), re.MULTILINE))
    assert rows == FIELDS


def test_no_field_is_one_that_logging_refuses() -> None:
    record = logging.makeLogRecord({})
    assert not {f"pydoudou_{name}" for name in FIELDS} & vars(record).keys()


def test_every_line_about_a_driver_or_a_member_has_fields() -> None:
    told = page().partition("## DEBUG")[0]
    rows = re.findall(r"^\| `pydoudou\.(?:discovery|drivers|balancers)[\w.]*` \| (.*) \| (.*) \|$", told, re.MULTILINE)
    named = dict(rows)
    assert len([names for names in named.values() if names]) > 30
    rooms = r"^\| `pydoudou\.(?:contrib\.page|discovery\.configuration|drivers\.nacos)[\w.]*` \| (.*) \| (.*) \|$"
    bare = [text for text, names in re.findall(rooms, told, re.MULTILINE) if not names]
    assert [text for text in bare if "SDK" not in text] == []
    assert set(re.findall(r"`(\w+)`", " ".join(named.values()))) <= FIELDS.keys()
    for text, names in named.items():
        if text.startswith(("the %s driver", "member %s", "registering")):
            assert names, f"{text!r} has no fields"


def test_a_line_that_is_not_said_makes_no_fields(caplog: pytest.LogCaptureFixture) -> None:
    log, asked = RateLimitedLog(logging.getLogger("test"), lambda: 0.0), []

    def extra() -> dict[str, str]:
        asked.append(1)
        return fields(reason="broken")

    for _ in range(3):
        log.warning("kind", "it is %s", "broken", extra=extra)
    assert len(asked) == 1
    assert [vars(record)["pydoudou_reason"] for record in caplog.records] == ["broken"]
