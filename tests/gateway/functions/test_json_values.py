"""JSON in and out with every digit."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import InvalidRequest
from gateway.functions import JsonNumber, dump_json, json_values, parse_json
from gateway.functions.json_values import MAX_VALUES, check_number_of_values
from tests.support.cost import grows_faster_than_the_input, repeated


@pytest.mark.parametrize(
    "text",
    [
        "1.10",
        "-0",
        "-0.0",
        "1e400",
        "1E-400",
        "9223372036854775808",
        "123456789012345678901234567890",
        "0.1e1",
        "-1.5e+3",
    ],
)
def test_a_number_that_a_double_would_change_stays_as_it_is_written(text):
    assert parse_json(f'{{"a": [{text}]}}'.encode()) == {"a": [JsonNumber(text)]}
    assert dump_json(parse_json(f"[{text}]".encode())) == f"[{text}]".encode()


@pytest.mark.parametrize("number", [0, -1, 2**53 + 1, 10**18 - 1, -(10**18) + 1])
def test_other_integers_are_integers(number):
    assert parse_json(b"[%d]" % number) == [number]
    assert parse_json(b"[%d, 0.5]" % number) == [number, JsonNumber("0.5")]


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"[1.5,",
        b"[NaN, 1.5]",
        b"[Infinity]",
        b"[-Infinity, 1.5]",
        b'["\xff", 1.5]',
        b'["\\ud800"]',
        b'["\\ud800", 1.5]',
        b'{"\\udfff": 1.5}',
        b"[01]",
        b"[01.5]",
        b"[1.5] 2",
        b"['a']",
        b"[1.5,]",
        b"\xef\xbb\xbf[1.5]",
        b"[" * 100_000,
        b"[1.5," * 100_000,
    ],
)
def test_what_is_not_json_is_refused(text):
    with pytest.raises(InvalidRequest, match="JSON"):
        parse_json(text)


def test_a_pair_of_surrogates_is_one_character():
    assert parse_json(b'["\\ud83d\\ude00", 1.5]') == ["\N{GRINNING FACE}", JsonNumber("1.5")]


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"])),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
    )
)
def test_what_is_read_is_written_the_same(value):
    assert json.loads(dump_json(parse_json(json.dumps(value).encode()))) == value


@pytest.mark.parametrize("value", [b"{}", b"[]", b"1.5", b'"a"', b'{"":0}', b'"' + b"\\" * 2 + b'"', b'"]"'])
def test_a_text_of_too_many_values_is_refused_before_they_are_made(value):
    text = b"[" + (value + b",") * MAX_VALUES + value + b"]"
    with pytest.raises(InvalidRequest, match="send fewer at a time"):
        parse_json(text)


@pytest.mark.parametrize(
    "text", ["1,2;" * MAX_VALUES, '{"a":[1,2]}' * MAX_VALUES, "\\" * MAX_VALUES + "{,[" * MAX_VALUES]
)
def test_what_is_inside_a_string_is_no_value(text):
    assert parse_json(json.dumps({"a": [text, 1]}).encode()) == {"a": [text, 1]}


@pytest.mark.parametrize("unit", ['"\\', '""', '\\"', '","'])
def test_counting_values_costs_in_proportion_to_the_text(monkeypatch, unit):
    monkeypatch.setattr(json_values, "MAX_VALUES", 10)

    def count(text: str) -> None:
        with suppress(InvalidRequest):
            check_number_of_values(text.encode())

    assert not grows_faster_than_the_input(count, repeated("[" * 11, unit))
