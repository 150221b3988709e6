"""The judgement on changes of type, held against the server: edge values really cast, and ``pg_cast`` itself."""

from __future__ import annotations

import itertools

import psycopg
import pytest
from psycopg import sql

from migrations_engine.diff import classify_type_change
from migrations_engine.diff.type_change import TypeName
from migrations_engine.diff.value_loss import loss_condition
from migrations_engine.model import Type
from migrations_engine.queries import load_queries

from .conftest import Laboratory

#: Types with values at their edges, as the text that PostgreSQL reads them from.
EDGES = {
    "smallint": ["-32768", "32767", "0"],
    "integer": ["-2147483648", "2147483647", "16777217"],
    "bigint": ["-9223372036854775808", "9223372036854775807", "9007199254740993"],
    "numeric": ["NaN", "Infinity", "1e-400", "1e400", "12345678901234567890.123456789"],
    "numeric(5,2)": ["NaN", "999.99", "-999.99", "0.01"],
    "numeric(7,4)": ["NaN", "999.9999", "0.0001"],
    "numeric(7,2)": ["NaN", "99999.99"],
    "numeric(6,4)": ["99.9999", "NaN"],
    "numeric(3,0)": ["999", "NaN"],
    "numeric(5,0)": ["NaN", "99999"],
    "numeric(10,0)": ["NaN", "9999999999"],
    "numeric(19,0)": ["NaN", "9999999999999999999"],
    "numeric(21,2)": ["NaN", "9999999999999999999.99"],
    "numeric(2,-3)": ["NaN", "99000"],
    "numeric(2,4)": ["NaN", "0.0099"],
    "real": ["3.4028235e38", "1e-45", "NaN", "-Infinity", "0.1", "16777216"],
    "double precision": ["1.7976931348623157e308", "5e-324", "NaN", "Infinity", "0.1"],
    "money": ["92233720368547758.07", "-92233720368547758.08", "0.01"],
    "text": ["", "a ", "é" * 70, "NULL"],
    "character varying": ["", "a ", "é" * 70],
    "character varying(3)": ["", "a ", "ééé", " b "],
    "character varying(5)": ["abcde", "    x", "a    "],
    "character(3)": ["", "a", "abc"],
    "character(5)": ["abcde", "a"],
    "name": ["", "x" * 63],
    '"char"': ["", "x"],
    "bit(3)": ["101"],
    "bit(5)": ["10101"],
    "bit varying": ["", "1" * 100],
    "bit varying(3)": ["", "1", "101"],
    "bit varying(5)": ["10101", ""],
    "bytea": ["", "\\x00ff"],
    "boolean": ["true", "false"],
    "uuid": ["00000000-0000-0000-0000-000000000000"],
    "json": ['{"a" : 1, "a": 2.0}'],
    "jsonb": ['{"a": 123456789012345678901234567890.10}'],
    "xml": ["<a/>"],
    "date": ["4713-01-01 BC", "5874897-12-31", "infinity", "2020-02-29"],
    "timestamp without time zone": ["4713-01-01 00:00:00 BC", "294276-12-31 23:59:59.999999", "-infinity"],
    "timestamp(0) without time zone": ["294276-12-31 23:59:59", "infinity"],
    "timestamp(3) without time zone": ["294276-12-31 23:59:59.999", "2020-01-01 00:00:00.001"],
    "timestamp(6) without time zone": ["294276-12-31 23:59:59.999999"],
    "timestamp with time zone": ["4713-01-01 00:00:00+00 BC", "294276-12-31 23:59:59.999999+00", "infinity"],
    "timestamp(3) with time zone": ["294276-12-31 23:59:59.999+00"],
    "time without time zone": ["00:00:00", "24:00:00", "23:59:59.999999"],
    "time(6) without time zone": ["24:00:00", "23:59:59.999999"],
    "time(3) without time zone": ["24:00:00", "23:59:59.999"],
    "time with time zone": ["00:00:00+15:59", "24:00:00-15:59", "23:59:59.999999+00:00:01"],
    "interval": ["178000000 years", "-178000000 years", "1 mon 1 day 00:00:00.000001"],
    "interval(3)": ["1 mon 1 day 00:00:00.001"],
    "interval year": ["178000000 years"],
    "interval month": ["1 year 1 mon"],
    "interval year to month": ["1 year 1 mon"],
    "interval day": ["1 year 1 mon 1 day"],
    "interval hour": ["1 year 1 mon 1 day 01:00:00"],
    "interval day to second": ["1 mon 1 day 00:00:00.000001"],
    "interval day to second(3)": ["1 mon 1 day 00:00:00.001"],
    "interval second(0)": ["1 mon 1 day 00:01:01"],
    "inet": ["10.0.0.1/8", "::1", "::ffff:1.2.3.4/128"],
    "cidr": ["10.0.0.0/8", "::/0", "1.2.3.4/32"],
    "macaddr": ["ff:ff:ff:ff:ff:ff"],
    "macaddr8": ["ff:ff:ff:ff:ff:ff:ff:ff"],
    "oid": ["0", "4294967295"],
    "point": ["(1e300,-0.1)"],
    "box": ["(2,2),(0,0)"],
    "path": ["[(0,0),(1,1)]", "((0,0),(1,1))"],
    "polygon": ["((0,0),(1,1),(1,0))"],
    "int4range": ["[-2147483648,2147483647)", "empty"],
    "int8range": ["[-9223372036854775808,9223372036854775807)"],
    "tsvector": ["'a':1"],
    "public.vector": ["[1,2,3]", "[1,2]"],
    "public.vector(3)": ["[1,2,3]"],
}

#: Pairs whose values survive and are still not safe: their meaning changes, or depends on the session.
MEANING_CHANGES = {
    (
        "character",
        "character varying",
    ),  # the blanks that fill a character(n) up are its own, a varchar's are the user's
    ("character", "text"),
    ("character", '"char"'),
    ("integer", "oid"),  # negative numbers become others
    ("smallint", "oid"),
    ("oid", "integer"),
    ("money", "numeric"),  # depends on lc_monetary
    ("numeric", "real"),  # what was counted exactly is counted approximately from now on
    ("numeric", "double precision"),
    ("character varying", "name"),  # a limit in bytes instead of characters
    ("character", "name"),
    ("point", "box"),
    ("macaddr", "macaddr8"),  # another address
    ("jsonb", "json"),  # other operators, no equality
    ("timestamp without time zone", "timestamp with time zone"),  # depend on TimeZone
    ("timestamp with time zone", "timestamp without time zone"),
    ("time without time zone", "time with time zone"),
    ("box", "polygon"),
    ("path", "polygon"),
    ("polygon", "path"),
    ('"char"', "text"),
    ('"char"', "character varying"),
    ('"char"', "character"),
    ("text", "name"),
}

#: Types of newer servers only: a scale that is negative, or larger than the precision.
SINCE = {"numeric(2,-3)": 15, "numeric(2,4)": 15}


def types_of(laboratory: Laboratory) -> list[str]:
    """Return the types of EDGES that the server has."""
    return [
        name
        for name in EDGES
        if SINCE.get(name, 0) <= laboratory.version and (laboratory.has_vector or "vector" not in name)
    ]


def pairs_of(laboratory: Laboratory) -> list[tuple[str, str]]:
    return list(itertools.permutations(types_of(laboratory), 2))


def survives(connection, value: str, old: str, new: str) -> bool:
    """Return whether a value survives the casts of ``ALTER TABLE … TYPE`` to the new type and back."""
    try:
        with connection.transaction(force_rollback=True):
            connection.execute(f"CREATE TEMPORARY TABLE edge AS SELECT {quoted(value)}::{old} AS a".encode())
            connection.execute(f"ALTER TABLE edge ALTER a TYPE {new}".encode())
            row = connection.execute(
                f"SELECT a::{old}::text = {quoted(value)}::{old}::text FROM edge".encode()
            ).fetchone()
    except psycopg.Error:
        return False
    return row[0]


def quoted(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def test_edges_are_spelled_as_the_server_spells_types(laboratory):
    for name in types_of(laboratory):
        with laboratory.loaded(f"CREATE TABLE spelled (a {name}); SET search_path = ''") as connection:
            (spelled,) = connection.execute(
                "SELECT format_type(atttypid, atttypmod) FROM pg_attribute"
                " WHERE attrelid = 'public.spelled'::regclass AND attname = 'a'"
            ).fetchone()
        assert spelled == name


def test_every_value_survives_what_is_called_safe(laboratory):
    safe = [pair for pair in pairs_of(laboratory) if classify_type_change(*pair).compatibility == "safe"]
    assert len(safe) > 60
    lost = [
        (old, new, value)
        for old, new in safe
        for value in EDGES[old]
        if not survives(laboratory.connection, value, old, new)
    ]
    assert lost == []


def test_some_value_is_lost_where_a_cast_is_not_called_safe(laboratory):
    """Blocking without need is the cheap mistake, but still one."""
    blocked = [pair for pair in pairs_of(laboratory) if classify_type_change(*pair).compatibility == "dataloss"]
    assert len(blocked) > 100
    needless = {
        (TypeName.parse(old).base, TypeName.parse(new).base)
        for old, new in blocked
        if all(survives(laboratory.connection, value, old, new) for value in EDGES[old])
    }
    assert needless - MEANING_CHANGES == set()


def test_incompatible_is_what_no_assignment_casts(laboratory):
    """A pair is incompatible exactly when ``pg_cast`` has no cast that an assignment may use, strings apart."""
    rows = laboratory.connection.execute(
        "SELECT s.name, t.name, EXISTS (SELECT FROM pg_cast AS c WHERE c.castsource = s.oid AND c.casttarget = t.oid"
        " AND c.castcontext IN ('a', 'i'))"
        " FROM (SELECT oid, format_type(oid, NULL) AS name, typcategory FROM pg_type WHERE oid < 10000) AS s,"
        " (SELECT oid, format_type(oid, NULL) AS name, typcategory FROM pg_type WHERE oid < 10000) AS t"
        " WHERE s.oid <> t.oid"
        " AND s.typcategory NOT IN ('S', 'Z', 'P', 'A') AND t.typcategory NOT IN ('S', 'Z', 'P', 'A')"
    ).fetchall()
    assert len(rows) > 3000
    wrong = [
        (old, new)
        for old, new, castable in rows
        if (classify_type_change(old, new).compatibility != "incompatible") != castable
    ]
    assert wrong == []


@pytest.mark.parametrize("new", ["text", "character varying", "character varying(200)", "character(9)", "name"])
@pytest.mark.parametrize("old", ["integer", "boolean", "uuid", "public.mood", "inet", "xml", "json", "date", "bytea"])
def test_other_types_do_not_become_text(old, new):
    assert classify_type_change(old, new).compatibility == "incompatible"
    assert classify_type_change(new, old).compatibility == "incompatible"


@pytest.mark.parametrize(
    ("old", "new", "compatibility"),
    [
        ("integer[]", "bigint[]", "safe"),
        ("bigint[]", "integer[]", "dataloss"),
        ("integer[]", "integer", "incompatible"),
        ("integer", "integer[]", "incompatible"),
        ("character varying(3)[]", "text[]", "safe"),
        ("numeric(5,2)[]", "numeric(6,4)[]", "dataloss"),
        ("public.mood[]", "text[]", "incompatible"),
        ("app.t(3)", "app.t", "safe"),
        ("app.t", "app.t(3)", "dataloss"),
        ("app.t(3)", "app.t(4)", "incompatible"),
        ("app.t", "public.t", "incompatible"),
        ("integer", "public.integer", "incompatible"),
        ('public."a(3)"', 'public."a(4)"', "incompatible"),
        ('public."my type"(3)', 'public."my type"', "safe"),
        ("public.unheard", "public.of", "incompatible"),
        ("nonsense((", "", "incompatible"),
        ("", "integer", "incompatible"),
    ],
)
def test_pairs_that_need_no_server(old, new, compatibility):
    assert classify_type_change(old, new).compatibility == compatibility


POSITIVE = (("positive_check", "CHECK ((VALUE > 0))"),)
DOMAINS = {
    domain.label: domain
    for domain in (
        Type(label="positive", schema="public", name="positive", kind="domain", base="integer", checks=POSITIVE),
        Type(label="number", schema="public", name="number", kind="domain", base="integer"),
        Type(label="app.tiny", schema="app", name="tiny", kind="domain", base="smallint"),
        Type(label="given", schema="public", name="given", kind="domain", base="text", not_null=True),
        Type(label="nested", schema="public", name="nested", kind="domain", base="public.positive"),
    )
}  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "compatibility"),
    [
        ("public.positive", "integer", "safe"),
        ("public.positive", "bigint", "safe"),
        ("public.positive", "smallint", "dataloss"),
        ("integer", "public.positive", "dataloss"),
        ("integer", "public.number", "safe"),
        ("bigint", "public.number", "dataloss"),
        ("app.tiny", "public.number", "safe"),
        ("public.number", "public.positive", "dataloss"),
        ("public.positive", "public.number", "safe"),
        ("public.nested", "integer", "safe"),
        ("public.number", "public.nested", "dataloss"),
        ("public.positive", "text", "incompatible"),
        ("text", "public.given", "dataloss"),
        ("public.positive[]", "integer[]", "incompatible"),
    ],
)
def test_domains_are_seen_through(old, new, compatibility):
    assert classify_type_change(old, new, DOMAINS).compatibility == compatibility


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("character varying(3)", "character varying(5)"),
        ("character varying(3)", "text"),
        ("text", "character varying"),
        ("numeric(5,2)", "numeric(7,2)"),
        ("numeric(5,2)", "numeric"),
        ("timestamp(3) without time zone", "timestamp without time zone"),
        ("interval(3)", "interval"),
        ("bit varying(3)", "bit varying(5)"),
        ("bit(3)", "bit varying"),
        ("cidr", "inet"),
        ("smallint", "integer"),
        ("integer", "bigint"),
        ("numeric(5,2)", "numeric(7,4)"),
        ("character(3)", "character(5)"),
        ("name", "text"),
        ("integer[]", "bigint[]"),
        ("character varying(3)[]", "character varying[]"),
        ("character varying(3)[]", "character varying(5)[]"),
        ("character varying[]", "text[]"),
        ("numeric(5,2)[]", "numeric[]"),
        ("timestamp(3) without time zone[]", "timestamp without time zone[]"),
        ("real", "double precision"),
        ("interval hour", "interval day to second"),
        ("interval day to second", "interval"),
        ("interval day to second(3)", "interval day to second(5)"),
        ("public.vector(3)", "public.vector"),
    ],
)
def test_changes_that_rewrite_the_table_are_marked(laboratory, old, new):
    if "vector" in old and not laboratory.has_vector:
        pytest.skip("this PostgreSQL has no pgvector")
    judged = classify_type_change(old, new)
    with laboratory.loaded(f"CREATE TABLE kept (a {old})") as connection:
        (before,) = connection.execute("SELECT pg_relation_filenode('kept')").fetchone()
        connection.execute(f"ALTER TABLE kept ALTER a TYPE {new}".encode())
        (after,) = connection.execute("SELECT pg_relation_filenode('kept')").fetchone()
    assert (judged.compatibility, judged.rewrites) == ("safe", before != after)


#: Pairs for which no query can count the loss: it depends on the session's time zone, or on the notation of a value.
NOT_TOLD = {("json", "jsonb")}


def test_the_rows_counted_are_those_that_do_not_survive(laboratory):
    """The condition never raises, is true for every value that is changed or refused, and for no other."""
    connection = laboratory.connection
    if laboratory.version < 16:
        connection.execute(load_queries("migrations_engine.catalog")["input_is_valid"])
    wrong = []
    for old, new in pairs_of(laboratory):
        bases = (TypeName.parse(old).base, TypeName.parse(new).base)
        if "public.vector" in bases:  # its input function raises where it should return an error
            continue
        if classify_type_change(old, new).compatibility != "dataloss" or bases in MEANING_CHANGES | NOT_TOLD:
            continue
        condition = loss_condition(sql.Identifier("a"), old, new, {}, connection.info.server_version)
        if condition is None:
            assert "with time zone" in f"{old} {new}" or "money" in bases
            continue
        for value in EDGES[old]:
            query = sql.SQL("SELECT {} FROM (SELECT {}::{} AS a) AS t").format(
                condition, sql.Literal(value), sql.SQL(old)
            )
            (counted,) = connection.execute(query).fetchone()
            wraps_around = value == "24:00:00" and new.startswith("interval")  # on the way back only
            if counted == survives(connection, value, old, new) and not wraps_around:
                wrong.append((old, new, value, counted))
    assert wrong == []
