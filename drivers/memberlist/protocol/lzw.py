"""LZW as Go's ``compress/lzw`` writes it: least significant bit first, 8-bit literals, codes of 9 to 12 bits.

Code 256 clears the dictionary, 257 ends the stream. The width grows when the next code *reaches* a power of two;
the variants of GIF and old TIFF grow elsewhere and cannot read this stream. The encoder is byte for byte Go's.

Pure Python decodes 5 to 20 MB/s. That is why nothing is sent compressed unless asked for, and why a large stream is
decoded off the event loop.
"""

from __future__ import annotations

from collections.abc import Iterator

from .errors import ProtocolError

__all__ = ["compress", "decompress", "inflated"]

_CLEAR = 256
_END = 257
_FIRST = 258
_MAX_WIDTH = 12
_PIECE_BYTES = 1024 * 1024
_LITERALS = [bytes((value,)) for value in range(256)]


def decompress(data: bytes | memoryview, limit: int) -> bytes:
    """The bytes that `data` stands for.

    Raises:
        ProtocolError: more than `limit` bytes come out, a code is invalid, or the end code is missing.
    """
    pieces = []
    size = 0
    for piece in inflated(data, min(limit, _PIECE_BYTES)):
        size += len(piece)
        if size > limit:
            raise ProtocolError(f"decompressed to more than {limit} bytes")
        pieces.append(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def inflated(data: bytes | memoryview, piece_bytes: int) -> Iterator[bytes]:
    """The bytes that `data` stands for, in pieces that are not empty and exceed `piece_bytes` by one entry of the
    dictionary at the most, 4 KB.

    Raises:
        ProtocolError: a code is invalid, or the end code is missing.
    """
    table = [*_LITERALS, b"", b""]
    append = table.append
    out: list[bytes] = []
    emit = out.append
    size = 0
    width, full = 9, 512
    previous = b""
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
            entry = _LITERALS[code]
        elif code == _CLEAR:
            del table[_FIRST:]
            width, full = 9, 512
            previous = b""
            continue
        elif code == _END:
            if out:
                yield b"".join(out)
            return
        elif code < len(table):
            entry = table[code]
        elif code == len(table) and previous:
            entry = previous + previous[:1]
        else:
            raise ProtocolError("invalid LZW code")
        emit(entry)
        size += len(entry)
        if size > piece_bytes:
            yield b"".join(out)
            out.clear()
            size = 0
        # A full dictionary of 12-bit codes grows no further: Go stops adding and waits for a clear.
        if previous and len(table) < 4096:
            append(previous + entry[:1])
        previous = entry
        if len(table) + 1 > full and width < _MAX_WIDTH:
            width += 1
            full <<= 1
    raise ProtocolError("LZW stream without its end")


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
