"""Rows that migrations have made for earlier declarations are in a new database as in an old one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from migrations_engine import MigrationFailed
from tests.migrations_engine.conftest import Tenant
from tests.support.structure import structure_of


@dataclass(frozen=True, kw_only=True)
class Story:
    """A release with a migration, and a later one with another declaration and one more migration."""

    tables: str
    rows: str
    then: str
    change: str
    expected: list[tuple]  #: the rows of table t in the end


KEY = "id int PRIMARY KEY, "
T = "CREATE TABLE t (" + KEY + "{});"
STATE = "CREATE TYPE state AS ENUM ('new', '{}');" + T.format("s state DEFAULT '{}'")
STORIES = {
    "a column is dropped": Story(
        tables=T.format("a text, b text NOT NULL"),
        rows="INSERT INTO t (id, a, b) VALUES (1, 'x', 'y');",
        then=T.format("a text"),
        change="ALTER TABLE t DROP COLUMN b;",
        expected=[(1, "x")],
    ),
    "a column is renamed and dropped in a renamed table": Story(
        tables="CREATE TABLE r (id int PRIMARY KEY, a text, b text);",
        rows="INSERT INTO r (id, a, b) VALUES (1, 'x', 'y');",
        then=T.format("a text"),
        change="ALTER TABLE r RENAME b TO c; ALTER TABLE r RENAME TO t; ALTER TABLE t DROP COLUMN c;",
        expected=[(1, "x")],
    ),
    "a column is split": Story(
        tables=T.format("whole text NOT NULL"),
        rows="INSERT INTO t VALUES (1, 'Ada Byron');",
        then=T.format("first text NOT NULL, last text NOT NULL"),
        change="ALTER TABLE t ADD first text, ADD last text; UPDATE t SET first = split_part(whole, ' ', 1), last ="
        " split_part(whole, ' ', 2); ALTER TABLE t ALTER first SET NOT NULL, ALTER last SET NOT NULL, DROP whole;",
        expected=[(1, "Ada", "Byron")],
    ),
    "a boolean becomes a text": Story(
        tables=T.format("active boolean NOT NULL DEFAULT true"),
        rows="INSERT INTO t VALUES (1, true), (2, false);",
        then=T.format("state text NOT NULL DEFAULT 'on'"),
        change="ALTER TABLE t ADD state text NOT NULL DEFAULT 'on'; UPDATE t SET state = 'off' WHERE NOT active;"
        "ALTER TABLE t DROP active;",
        expected=[(1, "on"), (2, "off")],
    ),
    "a document gets columns": Story(
        tables=T.format("meta jsonb NOT NULL DEFAULT '{}'"),
        rows="""INSERT INTO t VALUES (1, '{"a": 1}');""",
        then=T.format("a int"),
        change="ALTER TABLE t ADD a int; UPDATE t SET a = (meta->>'a')::int; ALTER TABLE t DROP meta;",
        expected=[(1, 1)],
    ),
    "a table is extracted": Story(
        tables=T.format("city text"),
        rows="INSERT INTO t VALUES (1, 'Rome'), (2, 'Rome');",
        then="CREATE TABLE cities (id serial PRIMARY KEY, name text UNIQUE);"
        + T.format("city_id int REFERENCES cities"),
        change="INSERT INTO cities (name) SELECT DISTINCT city FROM t; ALTER TABLE t ADD city_id int REFERENCES cities;"
        "UPDATE t SET city_id = c.id FROM cities c WHERE c.name = t.city; ALTER TABLE t DROP city;",
        expected=[(1, 1), (2, 1)],
    ),
    "an array becomes rows": Story(
        tables="CREATE TABLE u (id int PRIMARY KEY, tags text[]);",
        rows="INSERT INTO u VALUES (1, '{a,b}');",
        then="CREATE TABLE u (id int PRIMARY KEY); CREATE TABLE t (u int REFERENCES u, tag text);",
        change="INSERT INTO t SELECT id, unnest(tags) FROM u; ALTER TABLE u DROP tags;",
        expected=[(1, "a"), (1, "b")],
    ),
    "a block fills a column from one that is dropped": Story(
        tables=T.format("a text, b text"),
        rows="INSERT INTO t (id, a) VALUES (1, 'x'); DO $$ DECLARE r record; BEGIN FOR r IN SELECT * FROM t LOOP"
        " UPDATE t SET b = r.a || '!' WHERE id = r.id; END LOOP; END $$;",
        then=T.format("b text"),
        change="ALTER TABLE t DROP a;",
        expected=[(1, "x!")],
    ),
    "a text becomes a number": Story(
        tables=T.format("a text"),
        rows="INSERT INTO t VALUES (1, 'ten'), (2, '3');",
        then=T.format("a int NOT NULL DEFAULT 5"),
        change="UPDATE t SET a = '10' WHERE a = 'ten'; ALTER TABLE t ALTER a TYPE int USING a::int;"
        "ALTER TABLE t ALTER a SET NOT NULL;",
        expected=[(1, 10), (2, 3)],
    ),
    "a number becomes a time, under a view": Story(
        tables=T.format("at bigint"),
        rows="INSERT INTO t VALUES (1, 86400);",
        then=T.format("at timestamptz") + "CREATE VIEW v AS SELECT at FROM t;",
        change="ALTER TABLE t ALTER at TYPE timestamptz USING to_timestamp(at);",
        expected=[(1, "1970-01-02")],
    ),
    "cents become an amount, under another name": Story(
        tables=T.format("cents int"),
        rows="INSERT INTO t (id, cents) VALUES (1, 150);",
        then=T.format("amount numeric(10,2)"),
        change="ALTER TABLE t RENAME cents TO amount;"
        "ALTER TABLE t ALTER amount TYPE numeric(10,2) USING amount / 100.0;",
        expected=[(1, "1.50")],
    ),
    "a text is shortened": Story(
        tables=T.format("a varchar(50)"),
        rows="INSERT INTO t VALUES (1, 'a long text');",
        then=T.format("a varchar(5)"),
        change="UPDATE t SET a = left(a, 5); ALTER TABLE t ALTER a TYPE varchar(5);",
        expected=[(1, "a lon")],
    ),
    "an enum is made anew": Story(
        tables=STATE.format("old", "old"),
        rows="INSERT INTO t VALUES (1, 'old');",
        then=STATE.format("gone", "gone"),
        change="ALTER TYPE state RENAME TO former; CREATE TYPE state AS ENUM ('new', 'gone');"
        "ALTER TABLE t ALTER s DROP DEFAULT; ALTER TABLE t ALTER s TYPE state"
        " USING (CASE s::text WHEN 'old' THEN 'gone' ELSE s::text END)::state;"
        " ALTER TABLE t ALTER s SET DEFAULT 'gone'; DROP TYPE former;",
        expected=[(1, "gone")],
    ),
    "another key": Story(
        tables=T.format("slug text UNIQUE, a text"),
        rows="INSERT INTO t VALUES (1, 'a', 'x'), (2, 'a', 'y') ON CONFLICT /* twice */ (slug) DO NOTHING;",
        then=T.format("slug text, a text, lang text DEFAULT 'en', UNIQUE (slug, lang)"),
        change="ALTER TABLE t ADD lang text DEFAULT 'en'; ALTER TABLE t DROP CONSTRAINT t_slug_key;"
        "ALTER TABLE t ADD UNIQUE (slug, lang);",
        expected=[(1, "a", "x", "en")],
    ),
    "columns are added before others": Story(
        tables=T.format("name text"),
        rows="INSERT INTO t VALUES (1, 'x');",
        then=T.format("code text, name text"),
        change="ALTER TABLE t ADD COLUMN code text;",
        expected=[(1, None, "x")],
    ),
    "numbers of a sequence, beside statements that are satisfied": Story(
        tables="CREATE TABLE t (id serial PRIMARY KEY, a text); CREATE TABLE u (t int REFERENCES t);",
        rows="SELECT setval('t_id_seq', 7, false); INSERT INTO t (a) VALUES ('x');",
        then="CREATE TABLE t (id serial PRIMARY KEY, a text, b int); CREATE TABLE u (t int REFERENCES t);",
        change="INSERT INTO t (a) VALUES ('y'); ALTER TABLE t ADD b int; INSERT INTO u (t) VALUES (8);",
        expected=[(7, "x", None), (8, "y", None)],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", STORIES)
def test_a_new_database_has_the_rows_of_an_old_one(make_database: Callable[[], str], name: str):
    story = STORIES[name]
    old, new = Tenant(make_database()), Tenant(make_database())
    old.register({"tables/t.sql": story.tables, "migrations/001.sql": story.rows})
    last = {"tables/t.sql": story.then, "migrations/001.sql": story.rows, "migrations/002.sql": story.change}
    assert old.migrate(last).warnings == ()
    report = new.register(last)
    assert (report.warnings, report.differences) == ((), ())
    assert structure_of(new.conninfo) == structure_of(old.conninfo)
    columns = [column.name for column in new.catalog().relation_by_label["t"].columns]
    query = f"SELECT {', '.join(columns)} FROM t ORDER BY 1, 2"
    assert new.rows(query) == old.rows(query)
    assert [tuple(map(str, row)) for row in new.rows(query)] == [
        tuple(f"{value} 00:00:00+00:00" if value == "1970-01-02" else str(value) for value in row)
        for row in story.expected
    ]


UNCLEAR = {
    "a text beside another one is dropped": Story(
        tables=T.format("a text, b text"),
        rows="INSERT INTO t VALUES (1, 'x', 'y');",
        then=T.format("a text"),
        change="ALTER TABLE t DROP COLUMN b;",
        expected=[(1, "x")],
    ),
    "a column is replaced by one of its type": Story(
        tables=T.format("a int"),
        rows="INSERT INTO t VALUES (1, 2);",
        then=T.format("b int"),
        change="ALTER TABLE t ADD b int; UPDATE t SET b = a * 2; ALTER TABLE t DROP a;",
        expected=[(1, 4)],
    ),
}


@pytest.mark.parametrize("name", UNCLEAR)
def test_the_advice_to_name_the_columns_works(make_database: Callable[[], str], name: str):
    story = UNCLEAR[name]
    old, new = Tenant(make_database()), Tenant(make_database())
    old.register({"tables/t.sql": story.tables, "migrations/001.sql": story.rows})
    columns = ", ".join(column.name for column in old.catalog().relation_by_label["t"].columns)
    last = {"tables/t.sql": story.then, "migrations/001.sql": story.rows, "migrations/002.sql": story.change}
    (warning,) = old.migrate(last).warnings
    assert "INSERT INTO t (…), and repeat the request with force" in warning
    with pytest.raises(MigrationFailed, match="line 1 failed: INSERT INTO t does not name its columns"):
        new.register(last)
    advised = last | {"migrations/001.sql": story.rows.replace("INTO t", f"INTO t ({columns})")}
    old.migrate(advised, force=True)
    assert new.register(advised).warnings == ()
    assert structure_of(new.conninfo) == structure_of(old.conninfo)
    assert new.rows("SELECT * FROM t") == old.rows("SELECT * FROM t") == story.expected


def test_columns_that_no_migration_adds_are_named_in_a_warning(tenant: Tenant):
    files = {
        "tables/t.sql": T.format("code text, name text"),
        "migrations/001.sql": "INSERT INTO t VALUES (1, 'x');",
    }
    (warning,) = tenant.register(files).warnings
    assert warning.startswith(
        "migrations/001.sql, line 1: INSERT INTO t does not name its columns and fills id, code of"
    )


def test_columns_with_defaults_need_no_name(tenant: Tenant):
    files = {
        "tables/t.sql": T.format("name text, at timestamptz DEFAULT now()"),
        "migrations/001.sql": "INSERT INTO t VALUES (1, 'x');",
    }
    assert tenant.register(files).warnings == ()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("ALTER TABLE t ALTER a TYPE int USING length(a) / 0;", "division by zero"),
        ("ALTER TABLE t ALTER a SET NOT NULL; ALTER TABLE t ALTER a TYPE int USING a::int", "contains null values"),
    ],
)
def test_a_migration_that_its_rows_refuse_is_reported(tenant: Tenant, change: str, message: str):
    files = {
        "tables/t.sql": T.format("a int NOT NULL"),
        "migrations/001.sql": "INSERT INTO t (id, a) VALUES (1, 'x'), (2, NULL);",
        "migrations/002.sql": change,
    }
    with pytest.raises(MigrationFailed, match=message):
        tenant.register(files)


def test_values_that_no_migration_converts_are_reported(tenant: Tenant):
    files = {
        "tables/t.sql": T.format("a int"),
        "migrations/001.sql": "INSERT INTO t (id, a) VALUES (1, 'x');",
        "migrations/002.sql": "ALTER TABLE t ALTER a TYPE int USING a::int;",
    }
    with pytest.raises(MigrationFailed, match='invalid input syntax for type integer: "x"'):
        tenant.register(files)
