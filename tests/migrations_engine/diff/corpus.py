"""Pairs of schemas with the expected changes in each direction.

An expectation is ``danger change subject``, followed by the number of rows at risk if rows were counted.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Case:
    name: str
    one: str
    other: str
    there: tuple[str, ...] = ()  #: the expected changes from one to the other
    back: tuple[str, ...] = ()
    rows: str = ""  #: put into one before going there
    rows_back: str = ""  #: put into the other before going back
    since: int = 0  #: the first version of PostgreSQL that has it
    alone: bool = False  #: it cannot share a database with other cases
    named: bool = False  #: it is of a kind that is not compared, but warned of
    stays: bool = False  #: the way back leaves a difference to a new database that only pg_dump shows
    alike: bool = False  #: PostgreSQL prints the sides differently, and they mean the same


def _table(columns: str, after: str = "") -> str:
    return f"CREATE TABLE t ({columns}); {after}"


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

COLUMNS = [
    Case(name="nullable column", one=_table("a int"), other=_table("a int, b text"), rows="INSERT INTO t VALUES (1)",
         rows_back="INSERT INTO t VALUES (1, 'x'), (2, NULL)", there=("safe add_column t.b",), back=("dataloss drop_column t.b 1",)),
    Case(name="column with a default", one=_table("a int"), other=_table("a int, b text NOT NULL DEFAULT 'x, y'"), rows="INSERT INTO t VALUES (1)",
         there=("safe add_column t.b",), back=("dataloss drop_column t.b 0",)),
    Case(name="column with a volatile default", one=_table("a int"), other=_table("a int, b uuid NOT NULL DEFAULT gen_random_uuid()"),
         rows="INSERT INTO t VALUES (1), (2)", there=("safe add_column t.b",), back=("dataloss drop_column t.b 0",)),
    Case(name="NOT NULL column without default, no rows", one=_table("a int"), other=_table("a int, b text NOT NULL"),
         there=("dataloss add_column t.b 0",), back=("dataloss drop_column t.b 0",)),
    Case(name="NOT NULL column without default, rows", one=_table("a int"), other=_table("a int, b text NOT NULL"), rows="INSERT INTO t VALUES (1), (2)",
         there=("dataloss add_column t.b 2",), back=("dataloss drop_column t.b 0",)),
    Case(name="serial column", one=_table("a int"), other=_table("a int, id serial"), rows="INSERT INTO t VALUES (1), (2)",
         there=("safe add_column t.id",), back=("dataloss drop_column t.id 0",)),
    Case(name="bigserial key", one=_table("a int"), other=_table("a int, id bigserial PRIMARY KEY"), rows="INSERT INTO t VALUES (1), (2)",
         there=("safe add_column t.id", "safe add_constraint t.t_pkey 0"), back=("dataloss drop_column t.id 0", "incompatible drop_constraint t.t_pkey")),
    Case(name="identity column", one=_table("a int"), other=_table("a int, id bigint GENERATED ALWAYS AS IDENTITY (START 10)"), rows="INSERT INTO t VALUES (1)",
         there=("safe add_column t.id",), back=("dataloss drop_column t.id 0",)),
    Case(name="generated column", one=_table("a int"), other=_table("a int, b int GENERATED ALWAYS AS (a * 2) STORED"), rows="INSERT INTO t VALUES (1)",
         there=("safe add_column t.b",), back=("dataloss drop_column t.b 0",)),
    Case(name="column with a check", one=_table("a int"), other=_table("a int, b text NOT NULL DEFAULT 'new' CHECK (b IN ('new', 'old'))"),
         rows="INSERT INTO t VALUES (1)", there=("safe add_column t.b", "safe add_constraint t.t_b_check 0"), back=("dataloss drop_column t.b 0", "safe drop_constraint t.t_b_check")),
    Case(name="column whose default breaks its check", one=_table("a int"), other=_table("a int, b int DEFAULT 0 CHECK (b > 0)"),
         rows="INSERT INTO t VALUES (1)", there=("safe add_column t.b", "dataloss add_constraint t.t_b_check 1"), back=("dataloss drop_column t.b 0", "safe drop_constraint t.t_b_check")),
    Case(name="unique column", one=_table("a int"), other=_table("a int, b int UNIQUE"), rows="INSERT INTO t VALUES (1), (2)",
         there=("safe add_column t.b", "safe add_constraint t.t_b_key 0"), back=("dataloss drop_column t.b 0", "safe drop_constraint t.t_b_key")),
    Case(name="column with a collation", one=_table("a int"), other=_table('a int, b text COLLATE "C"'), there=("safe add_column t.b",), back=("dataloss drop_column t.b 0",)),
    Case(name="collation", one=_table("a text"), other=_table('a text COLLATE "C"'), there=("incompatible alter_column_collation t.a",), back=("incompatible alter_column_collation t.a",)),
    Case(name="enum column", one="CREATE TYPE mood AS ENUM ('ok'); CREATE TABLE t (a int)", other="CREATE TYPE mood AS ENUM ('ok'); CREATE TABLE t (a int, m mood[] DEFAULT '{ok}')",
         there=("safe add_column t.m",), back=("dataloss drop_column t.m 0",)),
    Case(name="column of a new enum", one=_table("a int"), other="CREATE TYPE mood AS ENUM ('ok'); CREATE TABLE t (a int, m mood NOT NULL DEFAULT 'ok')",
         there=("safe add_type mood", "safe add_column t.m"), back=("safe drop_type mood", "dataloss drop_column t.m 0")),
    Case(name="column of a domain that is NOT NULL", one="CREATE DOMAIN d AS int NOT NULL; CREATE TABLE t (a int)", other="CREATE DOMAIN d AS int NOT NULL; CREATE TABLE t (a int, b d)",
         rows="INSERT INTO t VALUES (1)", there=("dataloss add_column t.b 1",), back=("dataloss drop_column t.b 0",)),
    Case(name="column of a domain with a default", one="CREATE DOMAIN d AS int NOT NULL DEFAULT 3; CREATE TABLE t (a int)",
         other="CREATE DOMAIN d AS int NOT NULL DEFAULT 3; CREATE TABLE t (a int, b d)", rows="INSERT INTO t VALUES (1)",
         there=("safe add_column t.b",), back=("dataloss drop_column t.b 0",)),
    Case(name="NOT NULL", one=_table("a int, b text"), other=_table("a int NOT NULL, b text"), rows="INSERT INTO t VALUES (1), (NULL)",
         there=("dataloss set_not_null t.a 1",), back=("safe drop_not_null t.a",)),
    Case(name="NOT NULL and no NULLs", one=_table("a int"), other=_table("a int NOT NULL"), rows="INSERT INTO t VALUES (1)",
         there=("dataloss set_not_null t.a 0",), back=("safe drop_not_null t.a",)),
    Case(name="a check is not NOT NULL", one=_table("a int, b int"), other=_table("a int, b int, CHECK (a IS NOT NULL OR b = 1)"), rows="INSERT INTO t VALUES (NULL, 1)",
         there=("safe add_constraint t.t_check 0",), back=("safe drop_constraint t.t_check",)),
    Case(name="default", one=_table("a int DEFAULT 1"), other=_table("a int DEFAULT 2"), there=("safe alter_column_default t.a",), back=("safe alter_column_default t.a",)),
    Case(name="default or none", one=_table("a timestamptz"), other=_table("a timestamptz DEFAULT now()"), there=("safe alter_column_default t.a",), back=("safe alter_column_default t.a",)),
    Case(name="a default of NULL is none", alike=True, one=_table("a varchar(10)"), other=_table("a varchar(10) DEFAULT NULL")),
    Case(name="default with a widened type", one=_table("a varchar(5) DEFAULT 'x'"), other=_table("a text DEFAULT 'x'"),
         there=("safe alter_column_type t.a",), back=("dataloss alter_column_type t.a 0",)),
    Case(name="another default with a widened type", one=_table("a int DEFAULT 1"), other=_table("a bigint DEFAULT 2"),
         there=("safe alter_column_type t.a", "safe alter_column_default t.a"), back=("dataloss alter_column_type t.a 0", "safe alter_column_default t.a")),
    Case(name="default with commas and quotes", one=_table("a text[] DEFAULT ARRAY['a,b', 'c''d']"), other=_table("a text[] DEFAULT ARRAY['a,b', 'c''D']"),
         there=("safe alter_column_default t.a",), back=("safe alter_column_default t.a",)),
    Case(name="serial and bigserial", one=_table("id serial PRIMARY KEY"), other=_table("id bigserial PRIMARY KEY"), rows="INSERT INTO t DEFAULT VALUES",
         there=("safe alter_column_type t.id", "safe alter_sequence t.id"), back=("dataloss alter_column_type t.id 0", "safe alter_sequence t.id 0")),
    Case(name="serial is an integer with a sequence", stays=True, one=_table("id int NOT NULL"), other=_table("id serial"), rows="INSERT INTO t VALUES (41)",
         there=("safe alter_column_default t.id",), back=("safe alter_column_default t.id",)),
    Case(name="serial and identity", one=_table("id serial"), other=_table("id int GENERATED BY DEFAULT AS IDENTITY"),
         there=("safe alter_column_identity t.id",), back=("safe alter_column_identity t.id",)),
    Case(name="identity", one=_table("id int NOT NULL"), other=_table("id int GENERATED ALWAYS AS IDENTITY"), rows="INSERT INTO t VALUES (41)",
         there=("safe alter_column_identity t.id",), back=("safe alter_column_identity t.id",)),
    Case(name="kind of identity", one=_table("id int GENERATED ALWAYS AS IDENTITY"), other=_table("id int GENERATED BY DEFAULT AS IDENTITY"),
         there=("safe alter_column_identity t.id",), back=("safe alter_column_identity t.id",)),
    Case(name="identity widened", one=_table("id int GENERATED ALWAYS AS IDENTITY"), other=_table("id bigint GENERATED ALWAYS AS IDENTITY"),
         there=("safe alter_column_type t.id", "safe alter_sequence t.id"), back=("dataloss alter_column_type t.id 0", "safe alter_sequence t.id 0")),
    Case(name="steps of identity", one=_table("id int GENERATED ALWAYS AS IDENTITY"), other=_table("id int GENERATED ALWAYS AS IDENTITY (INCREMENT 10)"),
         there=("safe alter_sequence t.id",), back=("safe alter_sequence t.id",)),
    Case(name="plain and generated", one=_table("a int, b int"), other=_table("a int, b int GENERATED ALWAYS AS (a + 1) STORED"), rows="INSERT INTO t VALUES (1, 7), (1, NULL)",
         there=("incompatible alter_column_generated t.b 1",), back=("safe alter_column_generated t.b",)),
    Case(name="type under a generated column", one=_table("a int, b bigint GENERATED ALWAYS AS (a + 1) STORED"), other=_table("a bigint, b bigint GENERATED ALWAYS AS (a + 1) STORED"),
         there=("safe alter_column_type t.a", "safe remake_generated_column t.b"), back=("dataloss alter_column_type t.a 0",)),
    Case(name="type under a generated column that a view shows", one=_table("a int, b bigint GENERATED ALWAYS AS (a + 1) STORED", "CREATE VIEW v AS SELECT b FROM t"), other=_table("a bigint, b bigint GENERATED ALWAYS AS (a + 1) STORED", "CREATE VIEW v AS SELECT b FROM t"), rows="INSERT INTO t VALUES (1)",
         there=("safe alter_column_type t.a", "safe remake_generated_column t.b"), back=("dataloss alter_column_type t.a 0",)),
    Case(name="storage", one=_table("a text"), other="CREATE TABLE t (a text); ALTER TABLE t ALTER a SET STORAGE EXTERNAL",
         there=("safe alter_column_storage t.a",), back=("safe alter_column_storage t.a",)),
    Case(name="compression", one=_table("a text"), other="CREATE TABLE t (a text COMPRESSION pglz)", there=("safe alter_column_compression t.a",), back=("safe alter_column_compression t.a",)),
    Case(name="statistics target", one=_table("a int"), other="CREATE TABLE t (a int); ALTER TABLE t ALTER a SET STATISTICS 500",
         there=("safe alter_column_statistics t.a",), back=("safe alter_column_statistics t.a",)),
    Case(name="column option", one=_table("a int"), other="CREATE TABLE t (a int); ALTER TABLE t ALTER a SET (n_distinct = 5)",
         there=("safe alter_column_option t.a",), back=("safe alter_column_option t.a",)),
    Case(name="the order of columns is none", one=_table("a int, b text"), other=_table("b text, a int")),
    Case(name="names like keywords", one=_table("check_in date, unique_code text"),
         other=_table("check_in date, unique_code text, constraint_type int, serial_number varchar(9), default_lang char(2), \"order\" int, \"Mixed Case\" int"),
         there=tuple(f"safe add_column t.{name}" for name in ("constraint_type", "serial_number", "default_lang", "order", "Mixed Case")),
         back=tuple(f"dataloss drop_column t.{name} 0" for name in ("constraint_type", "serial_number", "default_lang", "order", "Mixed Case"))),
    Case(name="INT is integer", one=_table("a INT, b DECIMAL(5, 2), c FLOAT, d BOOL, e TIMESTAMP, f CHAR, g SERIAL4"),
         other=_table("a integer, b numeric(5,2), c double precision, d boolean, e timestamp without time zone, f character(1), g serial")),
]  # fmt: skip

_PARENT = "CREATE TABLE p (id int PRIMARY KEY, code text UNIQUE);"

CONSTRAINTS = [
    Case(name="unique", one=_table("a int, b int"), other=_table("a int, b int, UNIQUE (a, b)"), rows="INSERT INTO t VALUES (1, 1), (1, 1), (1, 1), (1, NULL), (1, NULL)",
         there=("dataloss add_constraint t.t_a_b_key 2",), back=("safe drop_constraint t.t_a_b_key",)),
    Case(name="unique that holds", one=_table("a int"), other=_table("a int UNIQUE"), rows="INSERT INTO t VALUES (1), (NULL), (NULL)",
         there=("safe add_constraint t.t_a_key 0",), back=("safe drop_constraint t.t_a_key",)),
    Case(name="unique without distinct NULLs", one=_table("a int"), other=_table("a int, UNIQUE NULLS NOT DISTINCT (a)"), rows="INSERT INTO t VALUES (1), (NULL), (NULL)",
         there=("dataloss add_constraint t.t_a_key 1",), back=("safe drop_constraint t.t_a_key",), since=15),
    Case(name="deferrable unique with an included column", one=_table("a int, b int"), other=_table("a int, b int, UNIQUE (a) INCLUDE (b) DEFERRABLE INITIALLY DEFERRED"),
         there=("safe add_constraint t.t_a_b_key 0",), back=("safe drop_constraint t.t_a_b_key",)),
    Case(name="primary key", one=_table("a int NOT NULL"), other=_table("a int PRIMARY KEY"), rows="INSERT INTO t VALUES (1), (2)",
         there=("safe add_constraint t.t_pkey 0",), back=("incompatible drop_constraint t.t_pkey",)),
    Case(name="primary key over duplicates and NULLs", one=_table("a int"), other=_table("a int PRIMARY KEY"), rows="INSERT INTO t VALUES (1), (1), (NULL)",
         there=("dataloss set_not_null t.a 1", "dataloss add_constraint t.t_pkey 2"), back=("incompatible drop_constraint t.t_pkey",)),
    Case(name="another primary key", one=_table("a int PRIMARY KEY, b int NOT NULL"), other=_table("a int NOT NULL, b int NOT NULL, PRIMARY KEY (a, b)"),
         there=("incompatible alter_constraint t.t_pkey",), back=("incompatible alter_constraint t.t_pkey",)),
    Case(name="check", one=_table("a int"), other=_table("a int CHECK (a > 0)"), rows="INSERT INTO t VALUES (0), (1), (NULL)",
         there=("dataloss add_constraint t.t_a_check 1",), back=("safe drop_constraint t.t_a_check",)),
    Case(name="check changed", one=_table("a int CHECK (a > 0)"), other=_table("a int CHECK (a > 10)"), rows="INSERT INTO t VALUES (5), (11)", rows_back="INSERT INTO t VALUES (11)",
         there=("dataloss alter_constraint t.t_a_check 1",), back=("safe alter_constraint t.t_a_check 0",)),
    Case(name="check over a whole row", one=_table("a int, b int"), other=_table("a int, b int, CONSTRAINT whole CHECK (t.* IS NOT NULL)"), rows="INSERT INTO t VALUES (1, NULL)",
         there=("dataloss add_constraint t.whole 1",), back=("safe drop_constraint t.whole",)),
    Case(name="the name of a check alone is no difference", one=_table("a int, CONSTRAINT one CHECK (a > 0)"), other=_table("a int, CONSTRAINT two CHECK (a > 0)"),
         there=("safe rename_constraint t.one",), back=("safe rename_constraint t.two",)),
    Case(name="check not yet validated", stays=True, one=_table("a int", "ALTER TABLE t ADD CONSTRAINT c CHECK (a > 0) NOT VALID"), other=_table("a int, CONSTRAINT c CHECK (a > 0)"),
         there=("safe validate_constraint t.c 0",)),
    Case(name="foreign key", one=_PARENT + _table("a int"), other=_PARENT + _table("a int REFERENCES p"), rows="INSERT INTO p VALUES (1); INSERT INTO t VALUES (1), (2), (3), (NULL)",
         there=("dataloss add_constraint t.t_a_fkey 2",), back=("safe drop_constraint t.t_a_fkey",)),
    Case(name="foreign key column", one=_PARENT + _table("a int"), other=_PARENT + _table("a int, b text REFERENCES p (code) ON DELETE SET NULL"), rows="INSERT INTO t VALUES (1)",
         there=("safe add_column t.b", "safe add_constraint t.t_b_fkey 0"), back=("dataloss drop_column t.b 0", "safe drop_constraint t.t_b_fkey")),
    Case(name="composite foreign key", one="CREATE TABLE p (x int, y int, UNIQUE (x, y));" + _table("a int, b int"),
         other="CREATE TABLE p (x int, y int, UNIQUE (x, y));" + _table("a int, b int, FOREIGN KEY (b, a) REFERENCES p (y, x)"),
         rows="INSERT INTO p VALUES (1, 2); INSERT INTO t VALUES (1, 2), (2, 1), (NULL, 5)", there=("dataloss add_constraint t.t_b_a_fkey 1",), back=("safe drop_constraint t.t_b_a_fkey",)),
    Case(name="full match", one="CREATE TABLE p (x int, y int, UNIQUE (x, y));" + _table("a int, b int"),
         other="CREATE TABLE p (x int, y int, UNIQUE (x, y));" + _table("a int, b int, FOREIGN KEY (a, b) REFERENCES p (x, y) MATCH FULL"),
         rows="INSERT INTO t VALUES (NULL, 2), (NULL, NULL)", there=("dataloss add_constraint t.t_a_b_fkey 1",), back=("safe drop_constraint t.t_a_b_fkey",)),
    Case(name="action of a foreign key", one=_PARENT + _table("a int REFERENCES p"), other=_PARENT + _table("a int REFERENCES p ON DELETE CASCADE"),
         there=("safe alter_constraint t.t_a_fkey 0",), back=("safe alter_constraint t.t_a_fkey 0",)),
    Case(name="self reference", one=_table("id int PRIMARY KEY"), other=_table("id int PRIMARY KEY, parent_id int REFERENCES t(id)"), rows="INSERT INTO t VALUES (1)",
         there=("safe add_column t.parent_id", "safe add_constraint t.t_parent_id_fkey 0"), back=("dataloss drop_column t.parent_id 0", "safe drop_constraint t.t_parent_id_fkey")),
    Case(name="exclusion", one=_table("during int4range"), other=_table("during int4range, EXCLUDE USING gist (during WITH &&)"),
         rows="INSERT INTO t VALUES ('[1,5)'), ('[4,6)'), ('[7,9)')", there=("dataloss add_constraint t.t_during_excl 1",), back=("safe drop_constraint t.t_during_excl",)),
    Case(name="exclusion by an operator class", one=_table("during int4range, a inet"), other=_table("during int4range, a inet, CONSTRAINT x EXCLUDE USING gist (a inet_ops WITH &&, (during + int4range(1, 2)) WITH &&)"), rows="INSERT INTO t VALUES (int4range(1, 2), '10.0.0.1')",
         there=("safe add_constraint t.x 0",), back=("safe drop_constraint t.x",)),
    Case(name="partial exclusion that holds", one=_table("during int4range, gone bool"), other=_table("during int4range, gone bool, CONSTRAINT x EXCLUDE USING gist (during WITH &&) WHERE (NOT gone)"),
         rows="INSERT INTO t VALUES ('[1,5)', true), ('[4,6)', false)", there=("safe add_constraint t.x 0",), back=("safe drop_constraint t.x",)),
    Case(name="lists of values", one=_table("a varchar(9) CHECK (a IN ('x', 'y'))"), other=_table("a varchar(9) CHECK (a IN ('x', 'y', 'z'))"),
         there=("safe alter_constraint t.t_a_check 0",), back=("safe alter_constraint t.t_a_check 0",)),
    Case(name="a list of values as a dump spells it", alike=True, one=_table("a varchar(9) CHECK (a IN ('x', 'y'))"),
         other=_table("a varchar(9), CONSTRAINT t_a_check CHECK (((a)::text = ANY (ARRAY[('x'::character varying)::text, ('y'::character varying)::text])))")),
]  # fmt: skip

INDEXES = [
    Case(name="index", one=_table("a int"), other=_table("a int", "CREATE INDEX i ON t (a DESC NULLS LAST) WHERE a > 3"), there=("safe add_index t.i",), back=("safe drop_index t.i",)),
    Case(name="index on an expression", one=_table("a text"), other=_table("a text", "CREATE INDEX i ON t (lower(a)) INCLUDE (a)"), there=("safe add_index t.i",), back=("safe drop_index t.i",)),
    Case(name="unique index", one=_table("a text"), other=_table("a text", "CREATE UNIQUE INDEX i ON t (lower(a)) WHERE a <> ''"), rows="INSERT INTO t VALUES ('a'), ('A'), (''), ('')",
         there=("dataloss add_index t.i 1",), back=("safe drop_index t.i",)),
    Case(name="unique index that holds", one=_table("a text"), other=_table("a text", "CREATE UNIQUE INDEX i ON t (a)"), there=("safe add_index t.i 0",), back=("safe drop_index t.i",)),
    Case(name="index changed", one=_table("a int, b int", "CREATE INDEX i ON t (a)"), other=_table("a int, b int", "CREATE INDEX i ON t (a, b)"), there=("safe alter_index t.i",), back=("safe alter_index t.i",)),
    Case(name="index made unique", one=_table("a int", "CREATE INDEX i ON t (a)"), other=_table("a int", "CREATE UNIQUE INDEX i ON t (a)"), rows="INSERT INTO t VALUES (1), (1)",
         there=("dataloss alter_index t.i 1",), back=("safe alter_index t.i",)),
    Case(name="index renamed", one=_table("a int", "CREATE INDEX one ON t (a)"), other=_table("a int", "CREATE INDEX two ON t (a)"), there=("safe rename_index t.one",), back=("safe rename_index t.two",)),
    Case(name="method of an index", one=_table("a int", "CREATE INDEX i ON t (a)"), other=_table("a int", "CREATE INDEX i ON t USING hash (a)"), there=("safe alter_index t.i",), back=("safe alter_index t.i",)),
    Case(name="vector index", one=_table("v vector(3)"), other=_table("v vector(3)", "CREATE INDEX i ON t USING hnsw (v vector_l2_ops) WITH (m = 8)"), there=("safe add_index t.i",), back=("safe drop_index t.i",)),
    Case(name="statistics object", one=_table("a int, b int"), other=_table("a int, b int", "CREATE STATISTICS s (ndistinct) ON a, b FROM t"), there=("safe add_statistics t.s",), back=("safe drop_statistics t.s",)),
]  # fmt: skip

_FUNCTION = "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END';"
_VIEW = _table("a int, b varchar(5)")

BEHAVIOUR = [
    Case(name="trigger", one=_FUNCTION + _table("a int"), other=_FUNCTION + _table("a int", "CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f()"),
         there=("safe add_trigger t.g",), back=("safe drop_trigger t.g",)),
    Case(name="trigger changed", one=_FUNCTION + _table("a int", "CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f()"),
         other=_FUNCTION + _table("a int", "CREATE TRIGGER g AFTER INSERT ON t FOR EACH ROW WHEN (new.a > 1) EXECUTE FUNCTION f()"),
         there=("safe alter_trigger t.g",), back=("safe alter_trigger t.g",)),
    Case(name="trigger switched off", one=_FUNCTION + _table("a int", "CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f()"),
         other=_FUNCTION + _table("a int", "CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f(); ALTER TABLE t DISABLE TRIGGER g"),
         there=("safe alter_trigger t.g",), back=("safe alter_trigger t.g",)),
    Case(name="constraint trigger", one=_FUNCTION + _table("a int"), other=_FUNCTION + _table("a int", "CREATE CONSTRAINT TRIGGER g AFTER INSERT ON t DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION f()"),
         there=("safe add_trigger t.g",), back=("safe drop_trigger t.g",)),
    Case(name="type under a trigger", one=_FUNCTION + _table("a int", "CREATE TRIGGER g BEFORE UPDATE OF a ON t FOR EACH ROW WHEN (old.a <> new.a) EXECUTE FUNCTION f()"),
         other=_FUNCTION + _table("a bigint", "CREATE TRIGGER g BEFORE UPDATE OF a ON t FOR EACH ROW WHEN (old.a <> new.a) EXECUTE FUNCTION f()"),
         there=("safe alter_column_type t.a",), back=("dataloss alter_column_type t.a 0",)),
    Case(name="rule", one=_table("a int"), other=_table("a int", "CREATE RULE r AS ON DELETE TO t DO INSTEAD NOTHING"), there=("safe add_rule t.r",), back=("safe drop_rule t.r",)),
    Case(name="row security", one=_table("a int"), other=_table("a int", "ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON t FOR SELECT USING (a > 1)"),
         there=("safe alter_row_security t", "safe add_policy t.p"), back=("safe alter_row_security t", "safe drop_policy t.p")),
    Case(name="policy changed", one=_table("a int", "CREATE POLICY p ON t USING (a > 1)"), other=_table("a int", "CREATE POLICY p ON t AS RESTRICTIVE FOR UPDATE TO postgres USING (a > 2) WITH CHECK (a > 3)"),
         there=("safe alter_policy t.p",), back=("safe alter_policy t.p",)),
    Case(name="type under a policy", one=_table("a int", "CREATE POLICY p ON t USING (a > 1)"), other=_table("a bigint", "CREATE POLICY p ON t USING (a > 1)"),
         there=("safe alter_column_type t.a",), back=("dataloss alter_column_type t.a 0",)),
    Case(name="view", one=_VIEW, other=_VIEW + "CREATE VIEW v AS SELECT a FROM t WHERE b IN ('x', 'y')", there=("safe add_view v",), back=("safe drop_view v",)),
    Case(name="view with one more column", one=_VIEW + "CREATE VIEW v AS SELECT a FROM t", other=_VIEW + "CREATE VIEW v AS SELECT a, b FROM t", there=("safe alter_view v",), back=("safe alter_view v",)),
    Case(name="view on a view", one=_VIEW + "CREATE VIEW v AS SELECT a, b FROM t; CREATE VIEW a_w AS SELECT a FROM v; COMMENT ON VIEW a_w IS 'it''s'; GRANT SELECT ON a_w TO pg_monitor",
         other=_VIEW + "CREATE VIEW v AS SELECT b, a FROM t; CREATE VIEW a_w AS SELECT a FROM v; COMMENT ON VIEW a_w IS 'it''s'; GRANT SELECT ON a_w TO pg_monitor",
         there=("safe alter_view v",), back=("safe alter_view v",)),
    Case(name="options of a view", one=_VIEW + "CREATE VIEW v AS SELECT a FROM t", other=_VIEW + "CREATE VIEW v WITH (security_barrier = true) AS SELECT a FROM t WITH LOCAL CHECK OPTION",
         there=("safe alter_option v.security_barrier", "safe alter_option v.check_option"), back=("safe alter_option v.security_barrier", "safe alter_option v.check_option")),
    Case(name="type under views", one=_VIEW + "CREATE VIEW v AS SELECT a, b FROM t; CREATE VIEW w AS SELECT b FROM v", other=_table("a int, b text") + "CREATE VIEW v AS SELECT a, b FROM t; CREATE VIEW w AS SELECT b FROM v",
         there=("safe alter_column_type t.b",), back=("dataloss alter_column_type t.b 0",)),
    Case(name="type under a view, a check and an index", one=_table("a varchar(5) CHECK (a IN ('x', 'y'))", "CREATE INDEX i ON t (a) WHERE a = 'x'; CREATE VIEW v AS SELECT a FROM t WHERE a = 'x'"),
         other=_table("a text CHECK (a IN ('x', 'y'))", "CREATE INDEX i ON t (a) WHERE a = 'x'; CREATE VIEW v AS SELECT a FROM t WHERE a = 'x'"),
         there=("safe alter_column_type t.a", "safe alter_constraint t.t_a_check 0", "safe alter_index t.i", "safe alter_view v"), back=("dataloss alter_column_type t.a 0",)),
    Case(name="materialized view", one=_VIEW, other=_VIEW + "CREATE MATERIALIZED VIEW m AS SELECT a FROM t; CREATE UNIQUE INDEX mi ON m (a)", there=("safe add_view m",), back=("safe drop_view m",)),
    Case(name="materialized view changed", one=_VIEW + "CREATE MATERIALIZED VIEW m AS SELECT a FROM t; CREATE INDEX mi ON m (a)", other=_VIEW + "CREATE MATERIALIZED VIEW m AS SELECT a, b FROM t; CREATE INDEX mi ON m (a, b)",
         there=("safe alter_view m", "safe alter_index m.mi"), back=("safe alter_view m", "safe alter_index m.mi")),
    Case(name="comments", one=_VIEW + "COMMENT ON TABLE t IS 'one'; COMMENT ON COLUMN t.a IS 'same'", other=_VIEW + "COMMENT ON TABLE t IS 'o''ther'; COMMENT ON COLUMN t.a IS 'same'",
         there=("safe alter_comment public.t.table",), back=("safe alter_comment public.t.table",)),
    Case(name="comments on all kinds", one=_table("a int CONSTRAINT c CHECK (a > 0)", "CREATE INDEX i ON t (a); CREATE DOMAIN d AS int CONSTRAINT dc CHECK (VALUE > 0); CREATE SEQUENCE s"),
         other=_table("a int CONSTRAINT c CHECK (a > 0)", "CREATE INDEX i ON t (a); CREATE DOMAIN d AS int CONSTRAINT dc CHECK (VALUE > 0); CREATE SEQUENCE s;"
                      "COMMENT ON COLUMN t.a IS 'x'; COMMENT ON CONSTRAINT c ON t IS 'x'; COMMENT ON INDEX i IS 'x'; COMMENT ON DOMAIN d IS 'x'; COMMENT ON CONSTRAINT dc ON DOMAIN d IS 'x'; COMMENT ON SEQUENCE s IS 'x'"),
         there=("safe alter_comment dc on public.d.domain constraint", "safe alter_comment public.i.index", "safe alter_comment public.s.sequence", "safe alter_comment public.t.a.table column",
                "safe alter_comment c on public.t.table constraint", "safe alter_comment public.d.type"),
         back=("safe alter_comment dc on public.d.domain constraint", "safe alter_comment public.i.index", "safe alter_comment public.s.sequence", "safe alter_comment public.t.a.table column",
                "safe alter_comment c on public.t.table constraint", "safe alter_comment public.d.type")),
    Case(name="comments on what is made again", one=_table("a varchar(5) CHECK (a <> '')", "CREATE INDEX \"I\" ON t (a); COMMENT ON INDEX \"I\" IS 'x'; COMMENT ON CONSTRAINT t_a_check ON t IS 'y'"),
         other=_table("a varchar(5) CHECK (a <> 'z')", "CREATE INDEX \"I\" ON t (a DESC); COMMENT ON INDEX \"I\" IS 'x'; COMMENT ON CONSTRAINT t_a_check ON t IS 'y'"),
         there=("safe alter_constraint t.t_a_check 0", "safe alter_index t.I"), back=("safe alter_constraint t.t_a_check 0", "safe alter_index t.I")),
    Case(name="comments on what is dropped", one=_table("a int"),
         other=_table("a int, b int CONSTRAINT \"C\" CHECK (b > 0)", "CREATE INDEX i ON t (a); CREATE VIEW v AS SELECT a FROM t; CREATE SEQUENCE s; CREATE TYPE m AS ENUM ('a'); CREATE DOMAIN d AS int CONSTRAINT dc CHECK (VALUE > 0);"
                      "CREATE RULE r AS ON DELETE TO t DO ALSO NOTHING; COMMENT ON RULE r ON t IS 'x'; COMMENT ON INDEX i IS 'x'; COMMENT ON CONSTRAINT \"C\" ON t IS 'x'; COMMENT ON VIEW v IS 'x'; COMMENT ON COLUMN v.a IS 'x';"
                      "COMMENT ON COLUMN t.b IS 'x'; COMMENT ON SEQUENCE s IS 'x'; COMMENT ON TYPE m IS 'x'; COMMENT ON CONSTRAINT dc ON DOMAIN d IS 'x'"),
         there=("safe add_type d", "safe add_type m", "safe add_sequence s", "safe add_column t.b", "safe add_constraint t.C 0", "safe add_index t.i", "safe add_rule t.r", "safe add_view v",
                "safe alter_comment dc on public.d.domain constraint", "safe alter_comment public.i.index", "safe alter_comment r on public.t.rule", "safe alter_comment public.s.sequence", "safe alter_comment public.t.b.table column",
                'safe alter_comment "C" on public.t.table constraint', "safe alter_comment public.m.type", "safe alter_comment public.v.view", "safe alter_comment public.v.a.view column"),
         back=("safe drop_type d", "safe drop_type m", "dataloss drop_sequence s", "dataloss drop_column t.b 0", "safe drop_constraint t.C", "safe drop_index t.i", "safe drop_rule t.r", "safe drop_view v")),
    Case(name="privileges", one=_table("a int"), other=_table("a int", "GRANT SELECT, INSERT ON t TO pg_monitor; GRANT UPDATE (a) ON t TO PUBLIC"),
         there=("safe grant_privilege t.a", "safe grant_privilege t", "safe grant_privilege t"), back=("safe revoke_privilege t.a", "safe revoke_privilege t", "safe revoke_privilege t")),
]  # fmt: skip

_DOMAIN = "CREATE DOMAIN d AS int {}; CREATE TABLE t (a d, b d, c int); CREATE TABLE u (x d)"
_PARTITIONED = (
    "CREATE TABLE t (a int, b int{}) PARTITION BY RANGE (a); CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (1) TO (9);"
)

TABLES = [
    Case(name="table", one=_table("a int"), other=_table("a int") + "CREATE TABLE u (b int UNIQUE)", there=("safe add_table u",), back=("dataloss drop_table u 2",), rows_back="INSERT INTO u VALUES (1), (2)"),
    Case(name="several tables", one="", other="CREATE TABLE x (a int); CREATE TABLE \"order\" (a int); CREATE SCHEMA app#; CREATE TABLE app#.x (a int)",
         there=("safe add_schema app", 'safe add_table "order"', "safe add_table app.x", "safe add_table x"), back=("safe drop_schema app", 'dataloss drop_table "order" 0', "dataloss drop_table app.x 0", "dataloss drop_table x 0")),
    Case(name="the same name in another schema", one="CREATE SCHEMA app#; CREATE TABLE app#.t (a int); CREATE TABLE t (a int)", other="CREATE SCHEMA app#; CREATE TABLE app#.t (a bigint); CREATE TABLE t (a int)",
         there=("safe alter_column_type app.t.a",), back=("dataloss alter_column_type app.t.a 0",)),
    Case(name="unlogged", one="CREATE UNLOGGED TABLE t (a int)", other=_table("a int"), there=("safe alter_persistence t",), back=("dataloss alter_persistence t 1",), rows_back="INSERT INTO t VALUES (1)"),
    Case(name="storage parameter", one=_table("a int"), other="CREATE TABLE t (a int) WITH (fillfactor = 70, autovacuum_enabled = false)",
         there=("safe alter_option t.fillfactor", "safe alter_option t.autovacuum_enabled"), back=("safe alter_option t.fillfactor", "safe alter_option t.autovacuum_enabled")),
    Case(name="replica identity", one=_table("a int"), other=_table("a int", "ALTER TABLE t REPLICA IDENTITY FULL"), there=("safe alter_replica_identity t",), back=("safe alter_replica_identity t",)),
    Case(name="table and view", one=_table("a int"), other="CREATE VIEW t AS SELECT 1 AS a", there=("incompatible alter_kind t 0",), back=("incompatible alter_kind t",)),
    Case(name="partitioned or not", one=_table("a int"), other="CREATE TABLE t (a int) PARTITION BY RANGE (a)", there=("incompatible alter_kind t 0",), back=("incompatible alter_kind t 0",)),
    Case(name="column of a partitioned table", one=_PARTITIONED.format(""), other=_PARTITIONED.format(", c int DEFAULT 5"), there=("safe add_column t.c",), back=("dataloss drop_column t.c 1",), rows="INSERT INTO t VALUES (1, 1)", rows_back="INSERT INTO t VALUES (1, 1)"),
    Case(name="type in a partitioned table", one=_PARTITIONED.format(", c int"), other=_PARTITIONED.format(", c bigint"), there=("safe alter_column_type t.c",), back=("dataloss alter_column_type t.c 0",)),
    Case(name="type of the partition key", one="CREATE TABLE t (a int) PARTITION BY HASH (a)", other="CREATE TABLE t (a bigint) PARTITION BY HASH (a)", there=("incompatible alter_column_type t.a 0",), back=("dataloss alter_column_type t.a 0",)),
    Case(name="bounds of a partition", one=_PARTITIONED.format(""), other=_PARTITIONED.format("").replace("(9)", "(10)"), there=("incompatible alter_partitioning t1",), back=("incompatible alter_partitioning t1",)),
    Case(name="partition key", one="CREATE TABLE t (a int) PARTITION BY LIST (a)", other="CREATE TABLE t (a int) PARTITION BY RANGE (a)", there=("incompatible alter_partitioning t",), back=("incompatible alter_partitioning t",)),
    Case(name="one more partition", one=_PARTITIONED.format(""), other=_PARTITIONED.format("") + "CREATE TABLE t2 PARTITION OF t DEFAULT", there=("safe add_table t2",), back=("dataloss drop_table t2 0",)),
    Case(name="index and key of a partitioned table", one=_PARTITIONED.format(""), other=_PARTITIONED.format(", UNIQUE (a, b)") + "CREATE INDEX i ON t (b)",
         there=("safe add_constraint t.t_a_b_key 0", "safe add_index t.i"), back=("safe drop_constraint t.t_a_b_key", "safe drop_index t.i")),
    Case(name="column of an inherited table", one="CREATE TABLE p (a int); CREATE TABLE t (b int) INHERITS (p)", other="CREATE TABLE p (a int, c text DEFAULT 'x'); CREATE TABLE t (b int) INHERITS (p)",
         there=("safe add_column p.c",), back=("dataloss drop_column p.c 0",)),
    Case(name="default, type and check of an inherited table", one="CREATE TABLE p (a int, d int); CREATE TABLE t (b int) INHERITS (p)", other="CREATE TABLE p (a bigint DEFAULT 4, d int, CHECK (d > 0)); CREATE TABLE t (b int) INHERITS (p)",
         there=("safe alter_column_type p.a", "safe alter_column_default p.a", "safe add_constraint p.p_d_check 0"),
         back=("dataloss alter_column_type p.a 0", "safe alter_column_default p.a", "safe drop_constraint p.p_d_check")),
    Case(name="default of a partition of its own", one=_PARTITIONED.format(""), other=_PARTITIONED.format("") + "ALTER TABLE t1 ALTER b SET DEFAULT 9", there=("safe alter_column_default t1.b",), back=("safe alter_column_default t1.b",)),
    Case(name="parents", one="CREATE TABLE p (a int); CREATE TABLE t (a int)", other="CREATE TABLE p (a int); CREATE TABLE t () INHERITS (p)", there=("incompatible alter_inheritance t",), back=("incompatible alter_inheritance t",)),
    Case(name="LIKE makes plain columns", one="CREATE TABLE p (id int PRIMARY KEY, a text DEFAULT 'x' CHECK (a <> '')); CREATE TABLE t (id int CONSTRAINT p_id_not_null NOT NULL PRIMARY KEY, a text DEFAULT 'x' CONSTRAINT p_a_check CHECK (a <> ''))",
         other="CREATE TABLE p (id int PRIMARY KEY, a text DEFAULT 'x' CHECK (a <> '')); CREATE TABLE t (LIKE p INCLUDING ALL)"),
]  # fmt: skip

_ENUM = "CREATE TYPE mood AS ENUM ({});"

OBJECTS = [
    Case(name="enum value at the end", one=_ENUM.format("'a', 'b'"), other=_ENUM.format("'a', 'b', 'c''d'"), there=("safe add_enum_value mood.c'd",), back=("incompatible alter_type mood",)),
    Case(name="enum values in between", one=_ENUM.format("'b', 'd'"), other=_ENUM.format("'a', 'b', 'c', 'c2', 'd', 'e'"), there=tuple(f"safe add_enum_value mood.{value}" for value in ("a", "c", "c2", "e")), back=("incompatible alter_type mood",)),
    Case(name="order of enum values", one=_ENUM.format("'a', 'b'"), other=_ENUM.format("'b', 'a'"), there=("incompatible alter_type mood",), back=("incompatible alter_type mood",)),
    Case(name="enum", one="", other=_ENUM.format("'a'"), there=("safe add_type mood",), back=("safe drop_type mood",)),
    Case(name="domain", one="", other="CREATE DOMAIN d AS varchar(9) COLLATE \"C\" DEFAULT 'x' NOT NULL CONSTRAINT c CHECK (VALUE <> '')", there=("safe add_type d",), back=("safe drop_type d",)),
    Case(name="check of a domain", one="CREATE DOMAIN d AS int", other="CREATE DOMAIN d AS int CHECK (VALUE > 0)", there=("safe add_domain_constraint d.d_check 0",), back=("safe drop_domain_constraint d.d_check",)),
    Case(name="check of a domain with values", one=_DOMAIN.format(""), other=_DOMAIN.format("CONSTRAINT c CHECK (VALUE > 0)"), rows="INSERT INTO t VALUES (1, 0, 5), (NULL, 2, -1)", there=("dataloss add_domain_constraint d.c 1",), back=("safe drop_domain_constraint d.c",)),
    Case(name="another check of a domain", one=_DOMAIN.format("CONSTRAINT c CHECK (VALUE > 0)"), other=_DOMAIN.format("CONSTRAINT c CHECK (VALUE > 1)"), rows="INSERT INTO t VALUES (2, 3, 4)", rows_back="INSERT INTO t VALUES (2, 3, 4)",
         there=("safe alter_domain_constraint d.c 0",), back=("safe alter_domain_constraint d.c 0",)),
    Case(name="check of a domain not validated", one="CREATE DOMAIN d AS int; CREATE TABLE t (a d)", other="CREATE DOMAIN d AS int; CREATE TABLE t (a d); ALTER DOMAIN d ADD CONSTRAINT c CHECK (VALUE > 0) NOT VALID", rows="INSERT INTO t VALUES (0)",
         there=("safe add_domain_constraint d.c",), back=("safe drop_domain_constraint d.c",)),
    Case(name="check of a domain in arrays", one="CREATE DOMAIN d AS int; CREATE TABLE t (a d[])", other="CREATE DOMAIN d AS int CONSTRAINT c CHECK (VALUE > 0); CREATE TABLE t (a d[])", there=("incompatible add_domain_constraint d.c",), back=("safe drop_domain_constraint d.c",)),
    Case(name="domain and NULL", one=_DOMAIN.format(""), other=_DOMAIN.format("NOT NULL"), rows="INSERT INTO t VALUES (NULL, 1, 1), (NULL, NULL, 1)", there=("dataloss set_domain_not_null d 3",), back=("safe drop_domain_not_null d",)),
    Case(name="default of a domain", one="CREATE DOMAIN d AS int", other="CREATE DOMAIN d AS int DEFAULT 1", there=("safe alter_domain_default d",), back=("safe alter_domain_default d",)),
    Case(name="base type of a domain", one="CREATE DOMAIN d AS int", other="CREATE DOMAIN d AS bigint", there=("incompatible alter_type d",), back=("incompatible alter_type d",)),
    Case(name="composite", one="", other="CREATE TYPE c AS (a int, b text COLLATE \"C\")", there=("safe add_type c",), back=("safe drop_type c",)),
    Case(name="attributes of a composite", one="CREATE TYPE c AS (a int)", other="CREATE TYPE c AS (a int, b int)", there=("safe add_attribute c.b",), back=("safe drop_attribute c.b",)),
    Case(name="attributes of a composite with values", one="CREATE TYPE c AS (a int); CREATE TABLE t (x c, y c[])", other="CREATE TYPE c AS (a int, b text COLLATE \"C\"); CREATE TABLE t (x c, y c[])", rows="INSERT INTO t VALUES ('(1)', '{(1)}')",
         there=("safe add_attribute c.b",), back=("dataloss drop_attribute c.b",)),
    Case(name="order of attributes", one="CREATE TYPE c AS (a int, b int)", other="CREATE TYPE c AS (b int, a int)", there=("incompatible alter_type c",), back=("incompatible alter_type c",)),
    Case(name="type of an attribute", one="CREATE TYPE c AS (a int, b text)", other="CREATE TYPE c AS (a text, b text)", there=("safe alter_attribute_type c.a",), back=("safe alter_attribute_type c.a",)),
    Case(name="type of an attribute with values", one="CREATE TYPE c AS (a int); CREATE DOMAIN d AS c; CREATE TABLE t (x d)", other="CREATE TYPE c AS (a bigint); CREATE DOMAIN d AS c; CREATE TABLE t (x d)", there=("incompatible alter_attribute_type c.a",), back=("incompatible alter_attribute_type c.a",)),
    Case(name="attributes of the rows of a table", one="CREATE TYPE c AS (a int); CREATE TABLE t OF c", other="CREATE TYPE c AS (a int, b int); CREATE TABLE t OF c", there=("safe add_attribute c.b",), back=("dataloss drop_attribute c.b",)),
    Case(name="range", one="", other="CREATE TYPE r AS RANGE (SUBTYPE = float8, SUBTYPE_DIFF = float8mi)", there=("safe add_type r",), back=("safe drop_type r",)),
    Case(name="subtype of a range", one="CREATE TYPE r AS RANGE (SUBTYPE = float8)", other="CREATE TYPE r AS RANGE (SUBTYPE = int8)", there=("incompatible alter_type r",), back=("incompatible alter_type r",)),
    Case(name="enum and domain", one=_ENUM.format("'a'"), other="CREATE DOMAIN mood AS text", there=("incompatible alter_type mood",), back=("incompatible alter_type mood",)),
    Case(name="sequence", one="", other="CREATE SEQUENCE s AS integer START 5 INCREMENT 5 MAXVALUE 500 CACHE 2 CYCLE", there=("safe add_sequence s",), back=("dataloss drop_sequence s",)),
    Case(name="sequence widened", one="CREATE SEQUENCE s AS integer", other="CREATE SEQUENCE s", there=("safe alter_sequence s",), back=("safe alter_sequence s 0",)),
    Case(name="owner of a sequence", one=_table("a int", "CREATE SEQUENCE s"), other=_table("a int", "CREATE SEQUENCE s OWNED BY t.a"), there=("safe alter_sequence s",), back=("safe alter_sequence s",)),
    Case(name="sequence of a default", one=_table("a int"), other="CREATE SEQUENCE s;" + _table("a bigint DEFAULT nextval('s')"), there=("safe add_sequence s", "safe alter_column_type t.a", "safe alter_column_default t.a"),
         back=("dataloss drop_sequence s", "dataloss alter_column_type t.a 0", "safe alter_column_default t.a")),
]  # fmt: skip

CASES = [*TYPES, *COLUMNS, *CONSTRAINTS, *INDEXES, *BEHAVIOUR, *TABLES, *OBJECTS]
