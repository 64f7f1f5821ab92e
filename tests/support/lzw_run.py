"""Compressed runs of zero bytes: what the encoder would write, without going through them one by one."""

from __future__ import annotations

__all__ = ["run_of"]


def run_of(prefix: bytes, zeros: int) -> bytes:
    """The LZW stream of `prefix`, at most one byte other than zero, and so many zero bytes after it."""
    writer = _Writer()
    if prefix:
        writer.code(prefix[0])
    while zeros:
        # Each code stands for one zero more than the one before; the first that the run itself defines is two long.
        length = min(zeros, writer.longest)
        writer.code(0 if length == 1 else writer.first_of_run + length - 2)
        zeros -= length
    return writer.end()


class _Writer:
    def __init__(self) -> None:
        self._packed = bytearray()
        self._bits, self._held = 256, 9
        self._clear()

    def _clear(self) -> None:
        self._high, self._width = 257, 9
        self.first_of_run = 258
        self.longest = 1

    def _emit(self, code: int) -> None:
        self._bits |= code << self._held
        self._held += self._width
        size = self._held // 8
        self._packed += (self._bits & ((1 << 8 * size) - 1)).to_bytes(size, "little")
        self._bits >>= 8 * size
        self._held -= 8 * size

    def code(self, code: int) -> None:
        self._emit(code)
        self._high += 1
        self._width += self._high == 1 << self._width
        if self._high == 4095:
            self._emit(256)
            self._clear()
        elif code and code < 256:
            self.first_of_run = self._high + 1  # what is defined next is the other byte and a zero
        else:
            self.longest += 1

    def end(self) -> bytes:
        self._emit(257)
        return bytes(self._packed + bytes((self._bits,)) if self._held else self._packed)
