"""The target when tables, migrations, the last deploy and the database disagree."""

from __future__ import annotations

import pytest

from migrations_engine.diff import Sources, diff_catalogs, target_catalog

from .test_corpus import summary

TABLE = "CREATE TABLE t (id int PRIMARY KEY, name varchar(20))"
WITH_AGE = "CREATE TABLE t (id int PRIMARY KEY, name varchar(20), age int)"


@pytest.fixture
def compare(laboratory):
    def differences(*, actual, declared, complete=None, formerly=None):
        """Texts of SQL; *complete* defaults to the declared one, *formerly* to unknown."""
        sources = Sources(
            declared=laboratory.catalog_of(declared),
            complete=laboratory.catalog_of(declared if complete is None else complete),
            actual=laboratory.catalog_of(actual),
            former=None if formerly is None else laboratory.catalog_of(formerly),
        )
        diff = diff_catalogs(actual=sources.actual, wanted=target_catalog(sources), former=sources.former)
        return [summary(difference) for difference in diff.changes], list(diff.warnings)

    return differences


def changes(compare, **texts):
    found, warnings = compare(**texts)
    assert warnings == []
    return found


def test_what_a_migration_made_is_no_difference(compare):
    migrated = WITH_AGE + "; CREATE TABLE log (a int); CREATE INDEX i ON t (age); CREATE VIEW v AS SELECT 1 AS a"
    assert changes(compare, actual=migrated, declared=TABLE, complete=migrated) == []
    assert changes(compare, actual=migrated, declared=TABLE, complete=migrated, formerly=TABLE) == []


def test_an_object_of_a_pending_migration_is_not_missing(compare):
    migrated = WITH_AGE + "; CREATE TABLE log (a int); CREATE UNIQUE INDEX i ON t (age); CREATE TYPE m AS ENUM ('a')"
    assert changes(compare, actual=TABLE, declared=TABLE, complete=migrated, formerly=TABLE) == []


@pytest.mark.parametrize("actual", [TABLE, TABLE.replace("20", "40")])
def test_before_and_after_a_refinement_are_both_right(compare, actual):
    refined = TABLE.replace("20", "40")
    assert changes(compare, actual=actual, declared=TABLE, complete=refined, formerly=TABLE) == []


def test_neither_declared_nor_refined_is_compared_with_the_refined(compare):
    refined = TABLE.replace("20", "40")
    found = changes(compare, actual=TABLE.replace("20", "30"), declared=TABLE, complete=refined, formerly=TABLE)
    assert found == ["safe alter_column_type t.name"]


@pytest.mark.parametrize(
    ("declared", "complete"),
    [
        ("CREATE TABLE t (a int NOT NULL DEFAULT 1 CHECK (a > 0))", "CREATE TABLE t (a int)"),
        ("CREATE TABLE t (a int)", "CREATE TABLE t (a int NOT NULL DEFAULT 1 CHECK (a > 0))"),
        ("CREATE TABLE t (a int)", "CREATE TABLE t (a int) WITH (fillfactor = 50)"),
        ("CREATE SEQUENCE s", "CREATE SEQUENCE s INCREMENT 2"),
    ],
)  # fmt: skip
def test_a_migration_may_refine_what_holds_rows(compare, declared, complete):
    for actual in (declared, complete):
        assert changes(compare, actual=actual, declared=declared, complete=complete, formerly=declared) == []


@pytest.mark.parametrize(
    ("declared", "complete", "back"),
    [
        ("CREATE INDEX i ON t (a)", "CREATE INDEX i ON t (a DESC)", "safe alter_index t.i"),
        ("CREATE VIEW v AS TABLE t", "CREATE VIEW v AS SELECT 1 AS a", "safe alter_view v"),
        ("COMMENT ON TABLE t IS 'one'", "COMMENT ON TABLE t IS 'two'", "safe alter_comment public.t.table"),
    ],
)  # fmt: skip
def test_what_holds_no_rows_is_as_declared_whatever_a_migration_made(compare, declared, complete, back):
    declared, complete = (f"CREATE TABLE t (a int); {text}" for text in (declared, complete))
    assert changes(compare, actual=declared, declared=declared, complete=complete, formerly=declared) == []
    assert changes(compare, actual=complete, declared=declared, complete=complete, formerly=declared) == [back]


def test_an_enum_has_the_values_that_migrations_add(compare):
    declared, complete = "CREATE TYPE m AS ENUM ('a')", "CREATE TYPE m AS ENUM ('a', 'b')"
    assert changes(compare, actual=complete, declared=declared, complete=complete, formerly=declared) == []
    found = changes(compare, actual=declared, declared=declared, complete=complete, formerly=declared)
    assert found == ["safe add_enum_value m.b"]


def test_a_new_column_that_a_migration_fills_and_then_requires_is_added_as_declared(compare):
    declared, required = "CREATE TABLE t (a int, b text)", "CREATE TABLE t (a int, b text NOT NULL)"
    before_the_migration = changes(compare, actual="CREATE TABLE t (a int)", declared=declared)
    assert before_the_migration == ["safe add_column t.b"]
    found = changes(compare, actual="CREATE TABLE t (a int)", declared=required, complete=required)
    assert found == ["dataloss add_column t.b"]


def test_objects_that_a_migration_drops_or_renames_may_exist_or_not(compare):
    renamed = "CREATE TABLE t (id int PRIMARY KEY, label varchar(20)); CREATE TABLE new (a int)"
    declared = TABLE + "; CREATE TABLE old (a int); CREATE TYPE m AS ENUM ('a'); CREATE SEQUENCE s"
    for actual in (declared, renamed):
        assert changes(compare, actual=actual, declared=declared, complete=renamed, formerly=declared) == []


def test_an_object_that_is_no_longer_declared_is_dropped(compare):
    found = changes(
        compare,
        actual=WITH_AGE + "; CREATE TABLE log (a int); CREATE INDEX i ON t (name)",
        declared=TABLE,
        formerly=WITH_AGE + "; CREATE TABLE log (a int); CREATE INDEX i ON t (name)",
    )
    assert found == ["dataloss drop_table log", "dataloss drop_column t.age", "safe drop_index t.i"]


def test_what_was_made_by_hand_stays(compare):
    by_hand = (
        WITH_AGE + "; CREATE TABLE log (a int); CREATE INDEX i ON t (name); ALTER TABLE t ADD CHECK (id > 0);"
        "COMMENT ON TABLE t IS 'mine'; GRANT SELECT ON t TO pg_monitor; ALTER TABLE t SET (fillfactor = 50);"
        "ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE VIEW v AS SELECT 1 AS a; CREATE TYPE m AS ENUM ('a');"
        "CREATE SEQUENCE s; CREATE SCHEMA app; ALTER TABLE t ALTER name SET STATISTICS 9; CREATE PUBLICATION p"
    )
    assert changes(compare, actual=by_hand, declared=TABLE, formerly=TABLE) == []


def test_in_an_adopted_database_only_an_additional_column_is_reported(compare):
    adopted = WITH_AGE + "; CREATE TABLE log (a int); CREATE INDEX i ON t (name); CREATE VIEW v AS SELECT 1 AS a"
    assert changes(compare, actual=adopted, declared=TABLE) == ["dataloss drop_column t.age"]


def test_a_table_that_is_newly_declared_counts_as_adopted(compare):
    found = changes(compare, actual=WITH_AGE, declared=TABLE, formerly="CREATE TABLE other (a int)")
    assert found == ["dataloss drop_column t.age"]


def test_objects_have_their_declared_names(compare):
    one = "CREATE TABLE t (a int, b int, CHECK (a > 0), CHECK (b > 0), UNIQUE (a)); CREATE INDEX i1 ON t (b)"
    other = (
        "CREATE TABLE t (a int, b int, CONSTRAINT t_b_check CHECK (a > 0), CONSTRAINT t_a_check CHECK (b > 0),"
        " CONSTRAINT u UNIQUE (a)); CREATE INDEX i2 ON t (b)"
    )
    renamings = [
        "safe rename_constraint t.t_b_check", "safe rename_constraint t.t_a_check", "safe rename_constraint t.t_a_key",
        "safe rename_index t.i1",
    ]  # fmt: skip
    assert changes(compare, actual=one, declared=other) == renamings
    assert changes(compare, actual=one, declared=other, formerly=one) == renamings


def test_a_renaming_in_the_files_is_followed(compare):
    one, two = (f"CREATE TABLE t (a int, CONSTRAINT {name} UNIQUE (a))" for name in ("one", "two"))
    assert changes(compare, actual=one, declared=two, formerly=one) == ["safe rename_constraint t.one"]


def test_uncovered_objects_are_warned_of(compare):
    one, own = (f"CREATE TABLE p (a int); CREATE TABLE c ({column}) INHERITS (p)" for column in ("", "a int"))
    line = "of a kind that is not compared: column a of c, declared by the child itself"
    missing, left = (
        f"declared but not in the database, and {line}",
        f"declared no more but still in the database, and {line}",
    )
    assert compare(actual=one, declared=own, formerly=one) == ([], [missing])
    assert compare(actual=own, declared=one, formerly=own) == ([], [left])
    assert compare(actual=own, declared=one, complete=own, formerly=one) == ([], [])


def test_a_type_that_cannot_be_dropped_yet_is_reported_once(compare):
    table = "CREATE TABLE t (a {0} CHECK (a IN ('x', 'y'))); CREATE INDEX i ON t (a) WHERE a > 'x';"
    views = "CREATE VIEW v AS SELECT a FROM t WHERE a = 'x'; CREATE VIEW w AS SELECT a FROM v WHERE a <> 'z'"
    actual, declared = ((table + views).format(type_) for type_ in ("text", "varchar(9)"))
    assert changes(compare, actual=actual, declared=declared, formerly=actual) == ["dataloss alter_column_type t.a"]


def test_a_key_that_foreign_keys_rely_on_is_not_dropped(compare):
    one = "CREATE TABLE p (a int UNIQUE, b int); CREATE TABLE t (a int REFERENCES p (a))"
    other = "CREATE TABLE p (a int, b int); CREATE TABLE t (a int)"
    assert changes(compare, actual=one, declared=other, formerly=one) == [
        "incompatible drop_constraint p.p_a_key", "safe drop_constraint t.t_a_fkey",
    ]  # fmt: skip


def test_the_order_is_fixed(compare, laboratory):
    actual = "CREATE TABLE b (x int, y int); CREATE TABLE a (x int)"
    declared = (
        "CREATE TABLE a (z int, x bigint, w int UNIQUE); CREATE TABLE b (x bigint, y bigint); CREATE INDEX i ON b (y);"
        "CREATE TYPE m AS ENUM ('a'); CREATE SCHEMA app"
    )
    expected = [
        "safe add_schema app",
        "safe add_type m",
        "safe add_column a.z",
        "safe alter_column_type a.x",
        "safe add_column a.w",
        "dataloss add_constraint a.a_w_key",
        "safe alter_column_type b.x",
        "safe alter_column_type b.y",
        "safe add_index b.i",
    ]
    assert changes(compare, actual=actual, declared=declared) == expected


TYPES_OF_COLUMNS = [
    "bool", "boolean", "double precision", "float", "float(3)", "real", "time", "timetz", "time(2) with time zone",
    "timestamp(3)", "timestamp with time zone", "character varying(20)", "char", "char(3)", "bpchar", "decimal",
    "numeric(10, 2)", "text[]", "int[][]", "int[3]", "serial", "serial4", "bigserial", "smallserial", "mood",
    "mood[]", "posint", "posint[]", "pair", "pair[]", "vector(3)", "vector", "interval day to second(3)", "bit(3)",
    "varbit", "money", "xml", "json", "jsonb", "uuid", "inet", "int4range", "int4multirange", "span", "tsvector",
    "name", '"char"', "oid", "regclass", 'text COLLATE "C"', "int GENERATED ALWAYS AS IDENTITY",
    "int GENERATED BY DEFAULT AS IDENTITY (START 7)", "int GENERATED ALWAYS AS (1 + 1) STORED",
    "numeric DEFAULT 1.50", "timestamptz DEFAULT now()", "text DEFAULT 'a,b'", "mood DEFAULT 'ok'",
    "mood[] DEFAULT '{ok}'", "jsonb DEFAULT '{}'", "int DEFAULT -1", "interval DEFAULT '1 day'",
    "varchar(5) DEFAULT 'x'", "date DEFAULT CURRENT_DATE", "int NOT NULL DEFAULT (2 + 3) * 4",
    "text[] DEFAULT ARRAY[]::text[]", "uuid DEFAULT gen_random_uuid()", "double precision DEFAULT 'NaN'",
    "bytea DEFAULT '\\xff'",
]  # fmt: skip
OWN_TYPES = """
CREATE TYPE mood AS ENUM ('ok', 'sad'); CREATE DOMAIN posint AS int CHECK (VALUE > 0);
CREATE TYPE pair AS (x int, y text); CREATE TYPE span AS RANGE (SUBTYPE = float8);
"""


@pytest.mark.parametrize("column", TYPES_OF_COLUMNS)
def test_a_column_made_twice_from_the_same_words_is_the_same(laboratory, compare, column):
    if column.startswith("vector") and not laboratory.has_vector:
        pytest.skip("this PostgreSQL has no pgvector")
    text = f"{OWN_TYPES} CREATE TABLE t (a {column})"
    other_session = f"SET LOCAL search_path = public, pg_catalog; {text}; SET LOCAL TimeZone = 'Asia/Tokyo'"
    assert changes(compare, actual=text, declared=other_session, formerly=None) == []
    added = f"{OWN_TYPES} CREATE TABLE t (); ALTER TABLE t ADD COLUMN a {column}"
    assert changes(compare, actual=added, declared=text, formerly=None) == []
