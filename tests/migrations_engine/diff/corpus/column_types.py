"""Pairs of types of a column."""

from __future__ import annotations

from .case import Case


def _types(
    one: str, other: str, there: str, back: str, *, values: str = "", values_back: str = "", before: str = ""
) -> Case:
    """A column of one type that becomes another. Values are SQL expressions, a row each."""

    def rows(some: str) -> str:
        return f"INSERT INTO t (a) VALUES {some}" if some else ""

    return Case(
        name=f"{one} and {other}",
        one=f"{before} CREATE TABLE t (a {one})",
        other=f"{before} CREATE TABLE t (a {other})",
        there=(_spread(there),),
        back=(_spread(back),),
        rows=rows(values),
        rows_back=rows(values_back),
    )


def _spread(verdict: str) -> str:
    danger, *count = verdict.split()
    return " ".join([danger, "alter_column_type t.a", *count])


TYPES = [
    _types("smallint", "integer", "safe", "dataloss 1", values="(32767), (-32768)", values_back="(32767), (32768)"),
    _types("integer", "bigint", "safe", "dataloss 2", values="(1)", values_back="(2147483648), (-2147483649), (5), (NULL)"),
    _types("smallint", "bigint", "safe", "dataloss 0", values_back="(-32768)"),
    _types("integer", "numeric", "safe", "dataloss 2", values_back="(1), (1.5), (3000000000)"),
    _types("bigint", "numeric", "safe", "dataloss 1", values_back="('NaN'), (9223372036854775807)"),
    _types("integer", "numeric(3,0)", "dataloss 1", "dataloss 0", values="(999), (1000)", values_back="(999)"),
    _types("integer", "numeric(10,0)", "safe", "dataloss 1", values_back="(9999999999), (1)"),
    _types("integer", "numeric(9,0)", "dataloss 1", "dataloss 0", values="(999999999), (2147483647)"),
    _types("smallint", "numeric(7,2)", "safe", "dataloss 1", values_back="(0.01), (7)"),
    _types("bigint", "numeric(18,0)", "dataloss 0", "dataloss 0"),
    _types("bigint", "numeric(19,0)", "safe", "dataloss 1", values_back="(9999999999999999999)"),
    _types("numeric(5,2)", "numeric(6,4)", "dataloss 1", "dataloss 1", values="(99.99), (100)", values_back="(1.234), (1.5)"),
    _types("numeric(5,2)", "numeric(7,4)", "safe", "dataloss 1", values_back="(999.9999), (1)"),
    _types("numeric(5,2)", "numeric(7,2)", "safe", "dataloss 1", values="('NaN')", values_back="(1000), (999.99)"),
    _types("numeric(10,2)", "numeric", "safe", "dataloss 2", values_back="(0.001), (1e8), (1)"),
    _types("real", "numeric", "dataloss 1", "dataloss 1", values="(0.5), (16777217.5)", values_back="(1.00000001), (0.1)"),
    _types("double precision", "numeric", "dataloss 1", "dataloss 2", values="(0.1), (1.0/3)", values_back="(0.1), (1e-320), (3.00000000000000000001)"),
    _types("real", "double precision", "safe", "dataloss 2", values_back="(0.5), (0.1), (1e300)"),
    _types("smallint", "real", "safe", "dataloss 2", values_back="(1.5), (1), ('NaN')"),
    _types("integer", "real", "dataloss 1", "dataloss 1", values="(16777217), (16777216)", values_back="(3e9), (2)"),
    _types("integer", "double precision", "safe", "dataloss 1", values_back="(0.5), (2147483647)"),
    _types("bigint", "double precision", "dataloss 1", "dataloss 1", values="(9007199254740993), (9007199254740992)", values_back="(1e19), (1e18)"),
    _types("integer", "text", "incompatible 0", "incompatible 1", values="(1)", values_back="('1'), ('x')"),
    _types("boolean", "integer", "incompatible 1", "incompatible 1", values="(true)", values_back="(7)"),
    _types("uuid", "text", "incompatible 0", "incompatible 1", values="('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11')", values_back="('x')"),
    _types("text", "jsonb", "incompatible 1", "incompatible 0", values="('{}'), ('{')"),
    _types("varchar(20)", "varchar(40)", "safe", "dataloss 1", values_back="(repeat('é', 21)), (repeat('é', 20))"),
    _types("varchar(20)", "varchar", "safe", "dataloss 1", values_back="(repeat('x', 21))"),
    _types("varchar(20)", "text", "safe", "dataloss 1", values_back="(repeat('x', 21)), ('')"),
    _types("varchar", "text", "safe", "safe"),
    _types("char(3)", "char(5)", "safe", "dataloss 1", values="('a')", values_back="('abcde'), ('abc')"),
    _types("char(3)", "varchar(3)", "dataloss 1", "dataloss 1", values="('a'), ('abc')", values_back="('a '), ('b')"),
    _types("char(3)", "text", "dataloss 0", "dataloss 1", values="('abc')", values_back="('abcd'), ('abc')"),
    _types("name", "text", "safe", "dataloss 1", values_back="(repeat('x', 64)), ('x')"),
    _types("text", "bytea", "incompatible 1", "incompatible 0", values="('\\xzz'), ('\\x00')"),
    _types("timestamp(3)", "timestamp", "safe", "dataloss 1", values="('infinity')", values_back="('2020-01-01 00:00:00.1234'), ('2020-01-01 00:00:00.123')"),
    _types("timestamp", "timestamptz", "dataloss", "dataloss", values="('2020-01-01')"),
    _types("timestamptz(0)", "timestamptz", "safe", "dataloss 1", values_back="('2020-01-01 00:00:00.5Z')"),
    _types("date", "timestamp", "dataloss 1", "dataloss 1", values="('infinity'), ('2020-01-01'), ('294277-01-01')", values_back="('2020-01-01 01:00'), ('2020-01-01'), ('infinity')"),
    _types("time(0)", "time", "safe", "dataloss 1", values_back="('00:00:00.5'), ('24:00:00')"),
    _types("time", "timetz", "dataloss", "dataloss"),
    _types("time", "interval", "dataloss 0", "dataloss 1", values="('12:00')", values_back="('25:00:00'), ('01:00')"),
    _types("interval hour", "interval day to second", "safe", "dataloss 1", values_back="('1 day 02:03:04'), ('2 days')"),
    _types("interval(3)", "interval", "safe", "dataloss 1", values_back="('0.0001 seconds')"),
    _types("interval year", "interval month", "safe", "dataloss 1", values_back="('1 month'), ('1 year')"),
    _types("bit(3)", "varbit(5)", "safe", "dataloss 1", values="('101')", values_back="('1'), ('101')"),
    _types("bit(3)", "bit(5)", "dataloss 1", "dataloss 0", values="('101')"),
    _types("varbit(3)", "varbit", "safe", "dataloss 1", values_back="('1010')"),
    _types("json", "jsonb", "dataloss", "dataloss 0", values="('{}')"),
    _types("cidr", "inet", "safe", "dataloss 1", values="('10.0.0.0/8')", values_back="('10.0.0.1/8'), ('10.0.0.0/8')"),
    _types("oid", "bigint", "safe", "dataloss 1", values_back="(-1), (4294967295)"),
    _types("integer", "oid", "dataloss 1", "dataloss 1", values="(-1), (1)", values_back="(4294967295)"),
    _types("money", "numeric", "dataloss", "dataloss"),
    _types("macaddr", "macaddr8", "dataloss 0", "dataloss 0"),
    _types("smallint", "numeric", "safe", "dataloss 1", values_back="(1), (1.5)"),
    _types("bigint", "numeric(20,0)", "safe", "dataloss 1", values_back="(99999999999999999999), (1)"),
    _types("numeric(4,0)", "numeric(5,0)", "safe", "dataloss 1", values_back="(10000), (9999)"),
    _types("smallint", "double precision", "safe", "dataloss 1", values_back="(1.5), (1)"),
    _types("varchar(5)", "varchar(10)", "safe", "dataloss 1", values_back="(repeat('x', 6)), ('a')"),
    _types("char(2)", "char(4)", "safe", "dataloss 1", values="('a')", values_back="('abcd'), ('ab')"),
    _types("time(3)", "time", "safe", "dataloss 1", values_back="('00:00:00.0001'), ('00:00:01')"),
    _types("bit(2)", "varbit(4)", "safe", "dataloss 1", values="('10')", values_back="('1'), ('10')"),
    _types("varbit(2)", "varbit(4)", "safe", "dataloss 1", values_back="('111'), ('11')"),
    _types("smallint[]", "int[]", "safe", "dataloss 1", values_back="('{40000}'), ('{1}')"),
    _types("int[]", "bigint[]", "safe", "dataloss 1", values="('{1,NULL}')", values_back="('{1,3000000000}'), ('{1}')"),
    _types("int[]", "int", "incompatible 1", "incompatible 1", values="('{1}')", values_back="(1)"),
    _types("varchar(3)[]", "text[]", "safe", "dataloss 1", values_back="('{abcd}'), ('{abc}')"),
    _types("text[]", "text", "incompatible 0", "incompatible 1", values="('{a}')", values_back="('a'), ('{a}')"),
    _types("int4range", "int8range", "incompatible 0", "incompatible 1", values="('[1,2)')", values_back="('[1,3000000000)')"),
    _types("vector(3)", "vector(4)", "incompatible", "incompatible 0", values="('[1,2,3]')"),
    _types("vector(3)", "vector", "safe", "dataloss 0"),
    _types("mood", "text", "incompatible 0", "incompatible 1", before="CREATE TYPE mood AS ENUM ('ok', 'sad');", values="('ok')", values_back="('ok'), ('glad')"),
    _types("positive", "integer", "safe", "dataloss 1", before="CREATE DOMAIN positive AS integer CHECK (VALUE > 0);", values="(1)", values_back="(0), (1)"),
    _types("label", "text", "safe", "safe", before="CREATE DOMAIN label AS text;"),
    _types("short", "varchar(20)", "safe", "dataloss 1", before="CREATE DOMAIN short AS varchar(10);", values_back="('12345678901'), ('x')"),
    _types("positive", "bigint", "safe", "dataloss 2", before="CREATE DOMAIN positive AS integer CHECK (VALUE > 0);", values_back="(0), (1), (3000000000)"),
]  # fmt: skip
