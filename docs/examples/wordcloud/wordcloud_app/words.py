"""Which words a text has, and how often: nouns of Chinese, all but the small ones of English."""

from __future__ import annotations

import collections
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import rjieba

__all__ = ["LANGUAGES", "frequencies"]

Word = tuple[str, str]
"""A word and the name of its part of speech."""

_ENGLISH = re.compile(r"[A-Za-z]+(?:['’-][A-Za-z]+)*")
_SMALL = frozenset(Path(__file__).with_name("small_words.txt").read_text().split())


def _english(text: str) -> Iterator[Word]:
    for match in _ENGLISH.finditer(text):
        word = match.group().lower().replace("’", "'").removesuffix("'s")
        if len(word) > 1 and word not in _SMALL:
            yield word, "NN"


def _chinese(text: str) -> Iterator[Word]:
    for word, kind in rjieba.tag(text):
        if kind.startswith("n") and len(word.strip()) > 1:
            yield word, kind


LANGUAGES: dict[str, Callable[[str], Iterator[Word]]] = {"zh": _chinese, "en": _english}


def frequencies(text: str, language: str) -> list[tuple[str, str, int]]:
    """Word, part of speech and count, the most frequent first; those that are as frequent stand as in the text.

    Raises:
        KeyError: the language is not one of `LANGUAGES`.
    """
    counts = collections.Counter(LANGUAGES[language](text))
    return [(word, kind, count) for (word, kind), count in counts.most_common()]
