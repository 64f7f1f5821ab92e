"""AES-GCM for packets and streams, and the ring of keys that lets a cluster change its key while it runs.

A payload is ``version | nonce:12 | ciphertext | tag:16``. Version 1 encrypts the plaintext as it is; version 0,
spoken by nodes of protocol version 1, pads it to 16 bytes first (PKCS#7). The first key of the ring encrypts, every
key decrypts: install the new key everywhere, then use it everywhere, then remove the old one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from .errors import ProtocolError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

__all__ = ["Keyring", "decrypt", "encrypt", "encrypted_bytes", "encryption_overhead"]

_NONCE = 12
_TAG = 16
_BLOCK = 16
_KEY_SIZES = (16, 24, 32)


def encryption_overhead(version: int) -> int:
    """The most bytes that encryption adds to a plaintext."""
    return 1 + _NONCE + _TAG + (_BLOCK if version == 0 else 0)


def encrypted_bytes(size: int, version: int) -> int:
    """What a plaintext of `size` bytes takes when it is encrypted: the associated data of a stream contains it."""
    return 1 + _NONCE + size + (_BLOCK - size % _BLOCK if version == 0 else 0) + _TAG


class Keyring:
    """The keys of a cluster, the primary first. Cipher objects are kept: making one per packet doubles its cost."""

    def __init__(self, keys: Iterable[bytes]) -> None:
        """Keys of 16, 24 or 32 bytes; a repeated one counts once. No key at all means no encryption.

        Raises:
            ValueError: a key has another size.
        """
        self._ciphers: dict[bytes, AESGCM] = {}
        for key in keys:
            self.install(key)

    def __bool__(self) -> bool:
        return bool(self._ciphers)

    @property
    def keys(self) -> tuple[bytes, ...]:
        """All keys, the primary first."""
        return tuple(self._ciphers)

    @property
    def primary(self) -> AESGCM:
        """The cipher that encrypts."""
        return next(iter(self._ciphers.values()))

    @property
    def ciphers(self) -> tuple[AESGCM, ...]:
        """Every cipher, in the order in which decryption tries them."""
        return tuple(self._ciphers.values())

    def install(self, key: bytes) -> None:
        """Add `key` for decryption; the primary stays what it is.

        Raises:
            ValueError: not 16, 24 or 32 bytes.
        """
        if len(key) not in _KEY_SIZES:
            raise ValueError(f"key of {len(key)} bytes; AES takes 16, 24 or 32")
        if key not in self._ciphers:
            # Imported with the first key: without one nobody has to wait for it at the start.
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM

            self._ciphers[key] = AESGCM(key)

    def use(self, key: bytes) -> None:
        """Make an installed key the primary.

        Raises:
            ValueError: `key` is not installed.
        """
        cipher = self._ciphers.get(key)
        if cipher is None:
            raise ValueError("this key is not installed: install it on every node before any node uses it")
        self._ciphers = {key: cipher} | self._ciphers

    def replace(self, keys: Iterable[bytes]) -> None:
        """Set all keys at once, the primary first; on an error the ring stays as it is.

        Raises:
            ValueError: a key is not 16, 24 or 32 bytes, or there is none left although there was one before.
        """
        new = Keyring(keys)
        if self and not new:
            raise ValueError("encryption cannot be switched off while the node runs")
        self._ciphers = new._ciphers

    def remove(self, key: bytes) -> None:
        """Forget a key; one that is not installed is no error.

        Raises:
            ValueError: `key` is the primary.
        """
        if self._ciphers and key == self.keys[0]:
            raise ValueError("the primary key cannot be removed: use another one first")
        self._ciphers.pop(key, None)


def encrypt(
    keyring: Keyring, version: int, plaintext: bytes, associated: bytes, random_bytes: Callable[[int], bytes]
) -> bytes:
    """`plaintext` under the primary key. `random_bytes` must be fit for cryptography: a nonce must never repeat."""
    if version == 0:
        pad = _BLOCK - len(plaintext) % _BLOCK
        plaintext += bytes((pad,)) * pad
    nonce = random_bytes(_NONCE)
    return bytes((version,)) + nonce + keyring.primary.encrypt(nonce, plaintext, associated)


def decrypt(keyring: Keyring, payload: bytes, associated: bytes) -> bytes:
    """The plaintext of a payload under whichever key opens it.

    Raises:
        ProtocolError: unknown version, too short, no key opens it, the padding is invalid, or nothing is inside.
    """
    version = payload[0] if payload else 0
    if version > 1:
        raise ProtocolError(f"unsupported encryption version {version}")
    if len(payload) < encryption_overhead(version):
        raise ProtocolError(f"payload is too small to decrypt: {len(payload)} bytes")
    from cryptography.exceptions import InvalidTag  # imported by now, with the first key

    nonce, sealed = payload[1 : 1 + _NONCE], payload[1 + _NONCE :]
    for cipher in keyring.ciphers:
        try:
            plaintext = cipher.decrypt(nonce, sealed, associated)
        except InvalidTag:
            continue
        return _unpadded(plaintext) if version == 0 else _not_empty(plaintext)
    raise ProtocolError("no installed key can decrypt the message")


def _unpadded(plaintext: bytes) -> bytes:
    pad = plaintext[-1] if plaintext else 0
    if not 1 <= pad <= _BLOCK or plaintext[-pad:] != bytes((pad,)) * pad:
        raise ProtocolError("invalid padding")
    return _not_empty(plaintext[:-pad])


def _not_empty(plaintext: bytes) -> bytes:
    if not plaintext:
        raise ProtocolError("nothing inside the encryption")
    return plaintext
