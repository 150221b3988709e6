"""What is named in a warning, and left as it is."""

from __future__ import annotations

from .case import case

_TABLE = "CREATE TABLE t (a int, b text);"
_OPERATORS = "CREATE TYPE c AS (x int); CREATE FUNCTION ceq(c, c) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT ($1).x = ($2).x'; CREATE FUNCTION clt(c, c) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT ($1).x < ($2).x'; CREATE FUNCTION cne(c, c) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT ($1).x <> ($2).x'; CREATE FUNCTION chash(c) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT ($1).x';"
_EQUALITY = "CREATE OPERATOR === (FUNCTION = ceq, LEFTARG = c, RIGHTARG = c);"
_DICTIONARY = "CREATE TEXT SEARCH DICTIONARY d (TEMPLATE = pg_catalog.simple, STOPWORDS = english);"
_PARTITIONED = (
    "CREATE TABLE t (a int, b text) PARTITION BY RANGE (a); CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (1) TO (9);"
)
_MATERIALIZED = "CREATE TABLE t (a int, b text); CREATE MATERIALIZED VIEW m AS SELECT a, b FROM t;"

NAMED_ATTRIBUTES = [
    case(name, base, "", other, there=(), back=(), named=True)
    for name, base, other in (
        (
            "storage parameters of a key",
            "CREATE TABLE t (a int PRIMARY KEY);",
            "ALTER INDEX t_pkey SET (fillfactor = 50)",
        ),
        (
            "storage parameters of a part of an index",
            _PARTITIONED + "CREATE INDEX i ON t (a);",
            "ALTER INDEX t1_a_idx SET (fillfactor = 50)",
        ),
        (
            "statistics target of a part of an index",
            _PARTITIONED + "CREATE INDEX i ON t ((a + 1));",
            "ALTER INDEX t1_expr_idx ALTER COLUMN 1 SET STATISTICS 500",
        ),
        (
            "trigger that depends on an extension",
            _TABLE
            + "CREATE FUNCTION tf() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION tf();",
            "ALTER TRIGGER g ON t DEPENDS ON EXTENSION plpgsql",
        ),
        (
            "index that depends on an extension",
            _TABLE + "CREATE INDEX i ON t (a);",
            "ALTER INDEX i DEPENDS ON EXTENSION plpgsql",
        ),
        ("view that depends on an extension", _MATERIALIZED, "ALTER MATERIALIZED VIEW m DEPENDS ON EXTENSION plpgsql"),
        (
            "owner of a function",
            "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1';",
            "ALTER FUNCTION f() OWNER TO pg_monitor",
        ),
        (
            "owner of statistics",
            _TABLE + "CREATE STATISTICS s ON a, b FROM t;",
            "ALTER STATISTICS s OWNER TO pg_monitor",
        ),
        ("owner of an operator", _OPERATORS + _EQUALITY, "ALTER OPERATOR === (c, c) OWNER TO pg_monitor"),
        (
            "owner of a collation",
            "CREATE COLLATION col (provider = libc, locale = 'C');",
            "ALTER COLLATION col OWNER TO pg_monitor",
        ),
        ("owner of a text search dictionary", _DICTIONARY, "ALTER TEXT SEARCH DICTIONARY d OWNER TO pg_monitor"),
        ("owner of a publication", "CREATE PUBLICATION p#;", "ALTER PUBLICATION p# OWNER TO pg_monitor"),
    )
]
NAMED_ATTRIBUTES += [
    case(
        "check that a child declares, too",
        "CREATE TABLE p (a int CONSTRAINT k CHECK (a > 0));",
        "CREATE TABLE t () INHERITS (p)",
        "CREATE TABLE t (CONSTRAINT k CHECK (a > 0)) INHERITS (p)",
        there=(),
        back=(),
        named=True,
    ),
    case(
        "unlogged sequence of a serial column",
        "CREATE TABLE t (a serial);",
        "",
        "ALTER SEQUENCE t_a_seq SET UNLOGGED",
        there=(),
        back=(),
        named=True,
        since=15,
    ),
    case(
        "access method of a materialized view",
        "CREATE ACCESS METHOD am# TYPE TABLE HANDLER heap_tableam_handler; CREATE TABLE t (a int);",
        "CREATE MATERIALIZED VIEW m AS SELECT a FROM t",
        "CREATE MATERIALIZED VIEW m USING am# AS SELECT a FROM t",
        there=(),
        back=(),
        named=True,
    ),
    case(
        "comment on the schema public",
        "",
        "",
        "COMMENT ON SCHEMA public IS 'mine'",
        there=("safe alter_comment public.schema",),
        back=("safe alter_comment public.schema",),
        alone=True,
        stays=True,
    ),
]
