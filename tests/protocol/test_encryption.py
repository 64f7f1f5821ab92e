"""AES-GCM in both versions, and the ring of keys."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.cluster import Lone, alive

from pydoudou.drivers.memberlist.protocol import Keyring
from pydoudou.drivers.memberlist.protocol.encryption import decrypt, encrypt, encryption_overhead
from pydoudou.drivers.memberlist.protocol.errors import ProtocolError

OLD, NEW, THIRD = bytes(range(16)), bytes(range(16, 40)), bytes(range(40, 72))


def sealed(keyring: Keyring, plaintext: bytes, version: int = 1, associated: bytes = b"") -> bytes:
    return encrypt(keyring, version, plaintext, associated, os.urandom)


@pytest.mark.upstream("TestKeyring_EmptyRing", "TestCreate_secretKeyEmpty")
def test_a_ring_without_keys_means_no_encryption() -> None:
    keyring = Keyring([])
    assert not keyring
    lone = Lone(keyring=keyring)
    lone.hear(alive("a"))
    assert lone.state("a") is not None


@pytest.mark.upstream("TestKeyring_PrimaryOnly")
def test_a_ring_of_one_key_has_one_key() -> None:
    assert Keyring([OLD]).keys == (OLD,)


@pytest.mark.upstream("TestKeyring_GetPrimaryKey", "TestCreate_keyringAndSecretKey")
def test_the_first_key_is_the_primary_and_repetitions_count_once() -> None:
    keyring = Keyring([NEW, OLD, NEW])
    assert keyring.keys == (NEW, OLD)
    assert keyring.primary is keyring.ciphers[0]


@pytest.mark.upstream("TestKeyring_AddRemoveUse")
def test_keys_are_installed_used_and_removed_in_that_order() -> None:
    keyring = Keyring([OLD])
    with pytest.raises(ValueError, match="not installed"):
        keyring.use(NEW)
    keyring.install(NEW)
    assert keyring.keys == (OLD, NEW)
    keyring.use(NEW)
    assert keyring.keys == (NEW, OLD)
    with pytest.raises(ValueError, match="primary"):
        keyring.remove(NEW)
    keyring.remove(OLD)
    assert keyring.keys == (NEW,)


@pytest.mark.upstream("TestKeyring_AddConcurrentKeys")
def test_keys_may_be_installed_from_several_threads_while_others_are_used() -> None:
    keyring = Keyring([OLD])
    keys = [number.to_bytes(16, "big") for number in range(1, 401)]
    payload = sealed(keyring, b"plain")

    def install(some: list[bytes]) -> None:
        for key in some:
            keyring.install(key)
            assert decrypt(keyring, payload, b"") == b"plain"

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(install, (keys[start::4] for start in range(4))))
    assert keyring.keys[0] == OLD
    assert sorted(keyring.keys[1:]) == keys


@pytest.mark.upstream("TestKeyRing_MultiKeyEncryptDecrypt")
def test_any_key_of_the_ring_decrypts_until_it_is_removed() -> None:
    keyring = Keyring([OLD, NEW, THIRD])
    payloads = [sealed(Keyring([key]), b"plain") for key in (OLD, NEW, THIRD)]
    assert [decrypt(keyring, payload, b"") for payload in payloads] == [b"plain"] * 3
    keyring.remove(THIRD)
    with pytest.raises(ProtocolError, match="no installed key"):
        decrypt(keyring, payloads[2], b"")


@pytest.mark.upstream("TestCreate_secretKey")
@pytest.mark.parametrize("size", [0, 3, 15, 17, 31, 33, 38])
def test_a_key_of_a_size_that_aes_does_not_have_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match="AES"):
        Keyring([bytes(size)])


@pytest.mark.parametrize("size", [16, 24, 32])
def test_all_key_sizes_of_aes_work(size: int) -> None:
    keyring = Keyring([bytes(size)])
    assert decrypt(keyring, sealed(keyring, b"x"), b"") == b"x"


@pytest.mark.upstream("TestCreate_keyringOnly")
def test_a_ring_with_a_key_encrypts_what_is_sent_and_refuses_what_is_not() -> None:
    lone = Lone(keyring=Keyring([OLD]))
    lone.hear(alive("plain"))
    assert lone.problems() == ["bad_packet"]
    lone.hear(sealed(Keyring([OLD]), alive("secret").encode()))
    assert lone.state("secret") is not None
    lone.run(3.0)
    packets = lone.packets()
    assert packets
    assert all(decrypt(Keyring([OLD]), packet, b"") for _, packet in packets)


@pytest.mark.upstream("TestEncryptDecrypt_V0", "TestEncryptDecrypt_V1")
@pytest.mark.parametrize("version", [0, 1])
def test_an_encrypted_payload_has_the_expected_size_and_comes_back(version: int) -> None:
    keyring, plaintext = Keyring([OLD]), b"this is a plain text message"
    payload = sealed(keyring, plaintext, version, b"random data")
    assert len(payload) == 29 + (32 if version == 0 else len(plaintext))
    assert len(payload) <= len(plaintext) + encryption_overhead(version)
    assert decrypt(keyring, payload, b"random data") == plaintext


@pytest.mark.upstream("TestPKCS7")
def test_the_padding_of_version_0_comes_off_again_at_every_length() -> None:
    keyring = Keyring([OLD])
    for size in range(1, 256):
        plaintext = bytes((size,)) * size
        payload = sealed(keyring, plaintext, 0)
        assert (len(payload) - 29) % 16 == 0
        assert decrypt(keyring, payload, b"") == plaintext


@pytest.mark.parametrize("padding", [b"\x00", b"\x11" * 16, b"\x02\x03\x03", b"\x01\x02"])
def test_invalid_padding_is_refused(padding: bytes) -> None:
    keyring = Keyring([OLD])
    plaintext = (b"x" * 32 + padding)[-32:]
    nonce = bytes(12)
    payload = b"\x00" + nonce + keyring.primary.encrypt(nonce, plaintext, b"")
    with pytest.raises(ProtocolError, match="padding"):
        decrypt(keyring, payload, b"")


@pytest.mark.parametrize("version", [0, 1])
def test_encrypted_nothing_is_refused(version: int) -> None:
    keyring = Keyring([OLD])
    with pytest.raises(ProtocolError, match="nothing inside"):
        decrypt(keyring, sealed(keyring, b"", version), b"")


def test_other_associated_data_does_not_decrypt() -> None:
    keyring = Keyring([OLD])
    with pytest.raises(ProtocolError, match="no installed key"):
        decrypt(keyring, sealed(keyring, b"x", associated=b"blue"), b"red")


@given(st.binary(max_size=80))
def test_rubbish_never_decrypts(payload: bytes) -> None:
    with pytest.raises(ProtocolError):
        decrypt(Keyring([OLD]), payload, b"")


def test_a_ring_is_replaced_as_a_whole_or_not_at_all() -> None:
    keyring = Keyring([OLD])
    with pytest.raises(ValueError, match="AES"):
        keyring.replace([NEW, b"short"])
    assert keyring.keys == (OLD,)
    keyring.replace([NEW, OLD])
    assert keyring.keys == (NEW, OLD)


def test_encryption_is_not_switched_off_by_an_empty_list_of_keys() -> None:
    with pytest.raises(ValueError, match="switched off"):
        Keyring([OLD]).replace([])
