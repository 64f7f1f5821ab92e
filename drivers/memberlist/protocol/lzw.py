"""LZW as Go's ``compress/lzw`` writes it: least significant bit first, 8-bit literals, codes of 9 to 12 bits.

Code 256 clears the dictionary, 257 ends the stream. The width grows when the next code *reaches* a power of two;
the variants of GIF and old TIFF grow elsewhere and cannot read this stream. The encoder is byte for byte Go's.

Pure Python decodes 5 to 20 MB/s. That is why nothing is sent compressed unless asked for, and why a large stream is
decoded off the event loop.
"""

from __future__ import annotations

import contextlib
import mmap
import os
from array import array
from collections.abc import Iterator
from typing import Any

from .errors import ProtocolError

__all__ = ["Inflater", "compress", "decompress"]

_CLEAR = 256
_END = 257
_FIRST = 258
_MAX_WIDTH = 12
_PIECE_BYTES = 1024 * 1024
_MOST_CODES = 1 << _MAX_WIDTH
_TABLE_BYTES = 2 * 4 * _MOST_CODES
_LITERALS = [bytes((value,)) for value in range(256)]
_SMALL_HISTORY_BYTES = 64 * 1024
_LONGEST_HISTORY_BYTES = 8 * 1024 * 1024
"""Each entry is at most one byte longer than the one before, and there are 3,839: 7.4 MB."""
_OUR_OWN = mmap.ACCESS_COPY if os.name == "posix" else mmap.ACCESS_WRITE
"""Else a fork shares the pages with its child."""


def decompress(data: bytes | memoryview, limit: int) -> bytes:
    """The bytes that `data` stands for.

    Raises:
        ProtocolError: more than `limit` bytes come out, a code is invalid, or the end code is missing.
    """
    pieces = []
    size = 0
    inflater = Inflater(data, min(limit, _PIECE_BYTES))
    while piece := inflater.next_piece():
        size += len(piece)
        if size > limit:
            raise ProtocolError(f"decompressed to more than {limit} bytes")
        pieces.append(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


class Inflater:
    """Inflates piece by piece.

    Args:
        data: what is compressed.
        piece_bytes: a piece exceeds that by one entry of the dictionary at the most, 4 KB.

    Attributes:
        held_bytes: what the dictionary takes by now: up to 8 MB, of 15 KB that stand for one byte repeated.
    """

    def __init__(self, data: bytes | memoryview, piece_bytes: int) -> None:
        self.held_bytes = 0
        self._pieces = _inflate(data, piece_bytes)

    def next_piece(self) -> bytes:
        """The next bytes, none at the end.

        Raises:
            ProtocolError: a code is invalid, or the end code is missing.
        """
        piece, self.held_bytes = next(self._pieces, (b"", 0))
        return piece


def _inflate(data: bytes | memoryview, piece_bytes: int) -> Iterator[tuple[bytes, int]]:
    """Pieces, and what the dictionary takes by then."""
    # An entry is the one before with one more byte, the first of what came next: it stands in the output as a run.
    # So an entry is a place and a size there. As strings of their own the entries would take ten times their size,
    # because they leave holes wherever many streams are inflated at a time.
    starts, sizes = array("I", bytes(4 * _FIRST)), array("I", bytes(4 * _FIRST))
    # A long history is pages of its own, of which those that were written take memory: they are given back whole. Many
    # that grow side by side in the heap leave holes in it, several times their size.
    history: Any = bytearray()
    in_heap = _SMALL_HISTORY_BYTES
    end = longest = 0
    out = bytearray()
    next_code = _FIRST
    width, full = 9, 512
    start = size = 0  # of what was written last, 0 after a clear
    bits = held = 0
    for byte in data:
        bits |= byte << held
        held += 8
        if held < width:
            continue
        code = bits & (full - 1)
        bits >>= width
        held -= width
        if code < _CLEAR:
            entry: bytes | bytearray = _LITERALS[code]
        elif code == _CLEAR:
            del starts[_FIRST:], sizes[_FIRST:]
            if in_heap:
                history.clear()
            else:
                longest = max(longest, end)
            end = 0
            next_code = _FIRST
            width, full = 9, 512
            start = size = 0
            continue
        elif code == _END:
            if out:
                yield bytes(out), max(longest, end) + _TABLE_BYTES  # which stays until it is asked for more
            return
        elif code < next_code:
            entry = history[starts[code] : starts[code] + sizes[code]]
        elif code == next_code and size:
            entry = history[start : start + size]
            entry += entry[:1]
        else:
            raise ProtocolError("invalid LZW code")
        out += entry
        if len(out) > piece_bytes:
            yield bytes(out), max(longest, end) + _TABLE_BYTES
            out.clear()
        # A full dictionary of 12-bit codes grows no further: Go stops adding and waits for a clear.
        if next_code < _MOST_CODES:
            if size:
                starts.append(start)
                sizes.append(size + 1)
                next_code += 1
            start, size = end, len(entry)
            end += size
            if end <= in_heap:
                history += entry
            else:
                if in_heap:
                    history, in_heap = _long_history(history), 0
                history[start:end] = entry
        if next_code + 1 > full and width < _MAX_WIDTH:
            width += 1
            full <<= 1
    raise ProtocolError("LZW stream without its end")


def _long_history(history: bytearray) -> mmap.mmap:
    """`history` with room for all that may come.

    Raises:
        MemoryError: there is no room.
    """
    try:
        pages = mmap.mmap(-1, _LONGEST_HISTORY_BYTES, access=_OUR_OWN)
    except OSError as error:
        raise MemoryError(str(error)) from None
    if hasattr(mmap, "MADV_NOHUGEPAGE"):
        with contextlib.suppress(OSError):  # a kernel without any
            pages.madvise(mmap.MADV_NOHUGEPAGE)  # those take 2 MB for the first byte
    pages[: len(history)] = history
    return pages


def compress(data: bytes) -> bytes:
    """`data` compressed, byte for byte as Go's encoder does it."""
    out = bytearray()
    bits = _CLEAR
    held = width = 9
    high, overflow = _END, 512
    table: dict[int, int] = {}
    code = -1
    for literal in data:
        if code < 0:
            code = literal
            continue
        pair = code << 8 | literal
        known = table.get(pair)
        if known is not None:
            code = known
            continue
        bits |= code << held
        held += width
        while held >= 8:
            out.append(bits & 0xFF)
            bits >>= 8
            held -= 8
        code = literal
        high += 1
        if high == overflow:
            width += 1
            overflow <<= 1
        if high == 4095:
            bits |= _CLEAR << held
            held += width
            width, overflow, high = 9, 512, _END
            table.clear()
        else:
            table[pair] = high
        while held >= 8:
            out.append(bits & 0xFF)
            bits >>= 8
            held -= 8
    if code >= 0:
        bits |= code << held
        held += width
        high += 1
        if high == overflow:
            width += 1
        if high == 4095:
            bits |= _CLEAR << held
            held += width
            width = 9
    bits |= _END << held
    held += width
    while held > 0:
        out.append(bits & 0xFF)
        bits >>= 8
        held -= 8
    return bytes(out)
