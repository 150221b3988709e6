"""Spellings of one expression, and spellings that only look alike."""

from __future__ import annotations

import tracemalloc

import pytest

from migrations_engine.diff.expression import (
    _remembered,
    canonical,
    canonical_default,
    displayed,
    replayable,
    without_casts,
)

AS_WRITTEN = "CHECK (((a)::text = ANY ((ARRAY['x'::character varying, 'y,]'::character varying])::text[])))"
AS_DUMPED = "CHECK (((a)::text = ANY (ARRAY[('x'::character varying)::text, ('y,]'::character varying)::text])))"


def test_a_list_of_values_is_the_same_before_and_after_a_dump():
    assert canonical(AS_WRITTEN) == canonical(AS_DUMPED) == AS_DUMPED


@pytest.mark.parametrize(
    "text",
    [
        "CHECK ((a = '(ARRAY[''x''])::text[]'::text))",
        'CHECK (("(ARRAY[" > 1))',
        "(f(ARRAY['x'::text]))::text[]",
        "(ARRAY['x'::text] || b)",
        "ARRAY[]::text[]",
        "((ARRAY[1, 2])[1])::text",
        "E'(ARRAY[\\'x\\'])::text[]'",
    ],
)
def test_a_similar_expression_is_not_a_list(text):
    assert canonical(text) == text


def test_lists_in_lists():
    assert canonical("(ARRAY[(ARRAY[1])::int[], a[2]])::x.y[]") == "ARRAY[(ARRAY[(1)::int])::x.y, (a[2])::x.y]"
    assert canonical("((ARRAY['a'])::text[] || (ARRAY['b'])::text[])") == "(ARRAY[('a')::text] || ARRAY[('b')::text])"


def test_many_lists_take_time_in_proportion_to_their_number():
    """With work that grows with the square of their number, this would exceed the time limit of a test."""
    many = 30_000
    assert canonical(" OR ".join([AS_WRITTEN] * many)) == " OR ".join([AS_DUMPED] * many)


def test_deeply_nested_lists():
    deep = 5_000
    assert canonical("(ARRAY[" * deep + "1" + "])::x[]" * deep) == "ARRAY[(" * deep + "1" + ")::x]" * deep


def test_the_whole_list_is_sent_as_it_was_written():
    assert replayable(AS_WRITTEN) == (
        "CHECK (((a)::text = ANY (ARRAY['x'::character varying, 'y,]'::character varying])))"
    )
    assert replayable(AS_DUMPED) == AS_DUMPED
    assert replayable("now()") == "now()"


@pytest.mark.parametrize(
    ("one", "other", "column_type"),
    [
        ("'x'::character varying", "'x'", "character varying(20)"),
        ("'1'::bigint", "'1'", "bigint"),
        ("NULL::character varying", None, "text"),
        ("NULL::timestamp without time zone", None, "timestamp(3) without time zone"),
        ("'ok'::public.mood", "'ok'", "public.mood"),
        ("'{}'::text[]", "'{}'", "text[]"),
        (
            "'2020-01-01 00:00:00'::timestamp without time zone",
            "'2020-01-01 00:00:00'",
            "timestamp(3) without time zone",
        ),
    ],
)
def test_equal_defaults(one, other, column_type):
    assert canonical_default(one, column_type) == canonical_default(other, column_type)


@pytest.mark.parametrize(
    ("one", "other", "column_type"),
    [
        ("'x'::text", "'X'::text", "text"),
        ("'NULL'::text", None, "text"),
        ("1", "'1'::text", "text"),
        ("'a  b'::text", "'a b'::text", "text"),
        ("now()", "clock_timestamp()", "timestamp with time zone"),
    ],
)
def test_different_defaults(one, other, column_type):
    assert canonical_default(one, column_type) != canonical_default(other, column_type)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("((a)::text = 'x'::text)", "(a = 'x'::text)"),
        ("(a = ANY (ARRAY[(1)::bigint, (2)::bigint]))", "(a = ANY (ARRAY[1, 2]))"),
        ("(a = ANY ((ARRAY['x'::character varying])::text[]))", "(a = ANY (ARRAY['x'::text]))"),
        ("((a)::character varying(5) = 'x'::public.\"My Type\"[])", "(a = 'x')"),
        ("(a > '2020'::timestamp without time zone)", "(a > '2020'::date)"),
        ("CHECK ((a > '-1'::integer))", "CHECK ((a > ('-1'::integer)::numeric))"),
        ("CHECK (((a + (b)::numeric) > (c)::numeric))", "CHECK (((a + b) > c))"),
        ("((a + ((b * c))::numeric) > (1)::numeric)", "((a + (b * c)) > 1)"),
        ("USING btree (((a)::text))", "USING btree (a)"),
        ("(lower((a)::text) = 'x'::text)", "(lower(a) = 'x'::text)"),
        ("(f(a))::bigint", "f(a)"),
    ],
)
def test_without_casts_the_type_does_not_matter(one, other):
    assert without_casts(one) == without_casts(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("((a + b) * c)", "(a + (b * c))"),
        ("(((a + (b)::bigint))::numeric * c)", "(a + ((b * c))::numeric)"),
        ("(a AND (b OR c))", "((a AND b) OR c)"),
        ("(a = ANY ((SELECT b)))", "(a = ANY (SELECT b))"),
        ("f((a)::text)", "(f a)"),
    ],
)
def test_without_casts_other_brackets_count(one, other):
    assert without_casts(one) != without_casts(other)


def test_without_casts_literals_stay():
    assert without_casts("a = ' (x)::text '") == "a = ' (x)::text '"
    assert without_casts("a = 'x'") != without_casts("a = 'X'")


def test_without_casts_deep_brackets_take_time_in_proportion():
    deep = 20_000
    assert without_casts("(" * deep + "a" + ")::x" * deep) == "a"
    assert without_casts("(" * deep + "a" + ")" * deep) == "( a )"


def test_public_is_left_out_for_people_only_where_it_is_a_schema():
    text = "public.a = 'public.b' AND \"public.c\" = my_public.d AND nextval('public.s'::regclass) > x.public.e"
    assert displayed(text) == ("a = 'public.b' AND \"public.c\" = my_public.d AND nextval('s'::regclass) > x.public.e")
    assert displayed(None) is None


def test_what_is_remembered_of_texts_is_bounded_in_bytes():
    look_up = _remembered(str.swapcase)
    tracemalloc.start()
    try:
        for number in range(6000):
            look_up(f"{number} ".ljust(990, "x"))
        for number in range(100):
            look_up(f"{number} ".ljust(1_000_000, "x"))
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 12e6
    assert look_up("1 ".ljust(1_000_000, "x")) == "1 ".ljust(1_000_000, "X")
