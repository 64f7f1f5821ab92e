"""The user's metadata before it is registered, and go-doudou's names."""

from __future__ import annotations

from typing import Any

import pytest

from pydoudou import RegistrationError
from pydoudou.drivers.kit.flat_metadata import as_text, check_flat, largest_keys
from pydoudou.drivers.kit.service_names import is_grpc, plain_name, rest_name


@pytest.mark.parametrize("value", ["", "ä", b"\xff", 1, -(2**70), 1.5, True, None])
def test_flat_values_pass(value: Any) -> None:
    check_flat({"key": value})


@pytest.mark.parametrize("value", [[1], {}, object(), float("nan"), float("-inf"), "\ud800", (1,), -(2**1024)])
def test_other_values_are_refused_by_the_name_of_their_key(value: Any) -> None:
    with pytest.raises(RegistrationError, match="'key'"):
        check_flat({"key": value})


def test_a_number_that_python_would_not_write_is_refused() -> None:
    with pytest.raises(RegistrationError, match="more than 1024 bits"):
        as_text({"key": 10**5000})


@pytest.mark.parametrize("key", [7, b"key", None, "\ud800", "a\nb", "\x1b[2J"])
def test_a_key_is_text(key: Any) -> None:
    with pytest.raises(RegistrationError, match="not text") as caught:
        check_flat({key: 1})
    assert str(caught.value).isprintable()


def test_everything_flat_becomes_text_but_bytes_that_are_none() -> None:
    assert as_text({"a": True, "b": None, "c": 1.5, "d": "ä".encode()}) == {"a": "true", "b": "", "c": "1.5", "d": "ä"}
    with pytest.raises(RegistrationError, match="not UTF-8"):
        as_text({"key": b"\xff"})


def test_the_largest_keys_are_named_first_and_not_all() -> None:
    sizes = {"a": 1, "b": 9, "c": 5, "d": 5}
    assert largest_keys(sizes, "bytes") == "'b' (9 bytes), 'c' (5 bytes), 'd' (5 bytes)"
    assert largest_keys({}, "bytes") == ""


def test_go_doudous_suffixes() -> None:
    assert [plain_name(name) for name in ("orders", "orders_rest", "orders_grpc")] == [
        "orders",
        "orders",
        "orders_grpc",
    ]
    assert (rest_name("orders"), is_grpc("orders_grpc"), is_grpc("orders")) == ("orders_rest", True, False)
