"""wordcloud-segsvc: which words a text has."""

from __future__ import annotations

from pydantic import BaseModel

from .app import make_app
from .errors import BizError
from .storage import MOST_BYTES
from .words import LANGUAGES, frequencies

app = make_app("wordcloud-segsvc")


class Text(BaseModel):
    """What to look through; no language is Chinese."""

    text: str
    lang: str = "zh"


@app.post("/seg")
def seg(given: Text) -> dict[str, dict[str, list[tuple[str, str, int]]]]:
    """Words, parts of speech and counts."""
    language = given.lang or "zh"
    if len(given.text.encode()) > MOST_BYTES:
        raise BizError(400, f"the text has more than {MOST_BYTES} bytes")
    if language not in LANGUAGES:
        raise BizError(400, f"parameter lang is {language!r}; accepted: {', '.join(LANGUAGES)}")
    return {"rs": {"WordFreq": frequencies(given.text, language)}}
