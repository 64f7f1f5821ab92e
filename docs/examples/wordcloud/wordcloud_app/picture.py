"""Draws a word cloud: the same words give the same picture, whoever draws it."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

from wordcloud import WordCloud

__all__ = ["FONTS", "NoFont", "draw", "lay_out"]

_SEED = 20220705
_SMALLEST, _LARGEST = 14, 80
FONTS = (
    "/usr/share/fonts/truetype/wqy/wqy-zenhei.ttc",
    "/usr/share/fonts/truetype/wqy/wqy-microhei.ttc",
    "/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc",
    "/usr/share/fonts/noto-cjk/NotoSansCJK-Regular.ttc",
    "/System/Library/Fonts/PingFang.ttc",
    "C:/Windows/Fonts/msyh.ttc",
)


class NoFont(Exception):
    """Chinese cannot be drawn on this machine."""


def _font(language: str) -> str | None:
    """A file; None for that of the library, which has Latin letters only."""
    if language == "en":
        return None
    found = next((font for font in FONTS if Path(font).exists()), None)
    if found is None:
        raise NoFont("no font on this machine has Chinese characters; install fonts-wqy-zenhei")
    return found


def lay_out(words: Mapping[str, float], language: str) -> WordCloud:
    """The words in their places.

    Raises:
        NoFont: there is none for the language.
    """
    cloud = WordCloud(
        font_path=_font(language),
        width=800,
        height=600,
        background_color="white",
        min_font_size=_SMALLEST,
        max_font_size=_LARGEST,
        random_state=_SEED,
    )
    return cloud.generate_from_frequencies(dict(words))


def draw(words: Mapping[str, float], language: str) -> bytes:
    """The picture as PNG.

    Raises:
        NoFont: there is no font for the language.
    """
    file = io.BytesIO()
    lay_out(words, language).to_image().save(file, "PNG", optimize=True)
    return file.getvalue()
