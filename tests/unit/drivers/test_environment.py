"""Variables are read leniently in spelling, strictly in value, and all bad ones are reported together."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pydoudou.drivers.environment import Environment, parse_duration
from pydoudou.drivers.errors import SettingsError
from pydoudou.drivers.members import Compat


@pytest.mark.parametrize(
    ("text", "bare_unit", "seconds"),
    [
        ("500ms", 1.0, 0.5),
        ("1h15m30.5s", 1.0, 4530.5),
        ("5", 1.0, 5.0),
        ("500", 1e-3, 0.5),
        ("1.5s", 1e-3, 1.5),
        ("250us", 1.0, 0.00025),
        ("250µs", 1.0, 0.00025),
        (".5s", 1.0, 0.5),
        ("-3s", 1.0, -3.0),
        ("+3s", 1.0, 3.0),
    ],
)
def test_a_duration_is_gos_or_a_bare_number_in_the_variables_unit(text: str, bare_unit: float, seconds: float) -> None:
    assert parse_duration(text, bare_unit) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "s", "5 s", "1m x", "ms5", "5d", "1e3", "--5s"])
def test_anything_else_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="not a duration"):
        parse_duration(text, 1.0)


def test_every_bad_variable_is_named_in_one_error_with_its_value_and_what_is_accepted() -> None:
    environment = Environment({"A": "abc", "B": "0", "C": "perhaps", "D": "v3", "E": "-1"})
    environment.integer("A", 1, least=1, most=10)
    environment.duration("B", 1.0)
    environment.flag("C", False)
    environment.choice("D", Compat.BOTH)
    environment.number("E", 1.0, least=0, most=5)
    with pytest.raises(SettingsError) as caught:
        environment.check()
    lines = str(caught.value).splitlines()
    assert lines[0] == "5 settings cannot be used:"
    for line, name, value, accepted in zip(
        lines[1:],
        "ABCDE",
        ["'abc'", "'0'", "'perhaps'", "'v3'", "'-1'"],
        ["from 1 to 10", "from 1ms to ten years", "true or false", "both, v1, v2", "from 0 to 5"],
        strict=True,
    ):
        assert f"{name} is {value}" in line
        assert accepted in line


def test_a_variable_that_is_read_twice_is_reported_once() -> None:
    environment = Environment({"A": "x"})
    environment.integer("A", 1, least=0, most=1)
    environment.integer("A", 1, least=0, most=1)
    assert len(environment.problems) == 1


def test_an_empty_variable_counts_as_unset() -> None:
    environment = Environment({"A": " ", "B": ""})
    assert environment.integer("A", 7, least=0, most=9) == 7
    assert environment.text("B", "default") == "default"
    environment.check()


def test_whole_numbers_may_be_written_in_gos_base_prefixes() -> None:
    assert Environment({"A": "0x10"}).integer("A", 0, least=0, most=100) == 16


def test_a_list_is_trimmed_and_keeps_its_order_without_repetitions() -> None:
    assert Environment({"A": " b, a ,,b , c"}).items("A") == ("b", "a", "c")


@pytest.mark.parametrize(("text", "value"), [("1", True), ("T", True), ("TRUE", True), ("0", False), ("f", False)])
def test_truth_values_are_spelled_as_in_go(text: str, value: bool) -> None:
    assert Environment({"A": text}).flag("A", not value) is value


@pytest.mark.parametrize("read", [Environment.text, Environment.items])
def test_bytes_that_are_not_utf_8_are_a_problem_that_can_be_written_down(
    read: Callable[[Environment, str], object],
) -> None:
    latin = b"caf\xe9".decode("utf-8", "surrogateescape")
    environment = Environment({"NAME": latin})
    assert not read(environment, "NAME")
    environment.problem(latin, "nothing")
    with pytest.raises(SettingsError, match=r"NAME is .* accepted: text in UTF-8") as caught:
        environment.check()
    assert str(caught.value).encode()
