"""A migration renames what the files still declare under its old name. The migration is the later of the two."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from migrations_engine.errors import EngineError
from tests.support.structure import structure_of

from .conftest import Tenant

TYPE = "CREATE TYPE mood AS ENUM ('calm', 'glad'); COMMENT ON TYPE mood IS 'a mood';"
TABLE = """\
CREATE TABLE people (
    id int PRIMARY KEY CONSTRAINT positive CHECK (id > 0),
    mood mood DEFAULT 'calm',
    doubled int GENERATED ALWAYS AS (id * 2) STORED
);
CREATE INDEX people_mood ON people (mood) WHERE id > 5;
CREATE TABLE pets (owner int REFERENCES people (id));
CREATE VIEW calm AS SELECT id, mood FROM people WHERE mood = 'calm';
CREATE VIEW all_calm AS SELECT id FROM calm;
CREATE POLICY own ON people USING (id > 1);
CREATE TRIGGER touch BEFORE UPDATE OF id ON people FOR EACH ROW EXECUTE FUNCTION touch();
COMMENT ON TABLE people IS 'all';
COMMENT ON COLUMN people.id IS 'a number';
GRANT SELECT ON people TO PUBLIC;
GRANT UPDATE (id) ON people TO PUBLIC;
"""
TOUCH = "CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;"
PARTITIONS = """\
CREATE TABLE visits (id int, day date) PARTITION BY RANGE (day);
CREATE TABLE visits_1 PARTITION OF visits FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
CREATE INDEX visits_id ON visits (id);
"""
PEOPLE = {"types/mood.pssql": TYPE, "tables/people.pssql": TABLE, "functions/touch.pssql": TOUCH}


@dataclass(frozen=True, kw_only=True)
class Lag:
    migration: str
    caught_up: tuple[tuple[str, str], ...]  #: texts to replace in the files that declare
    files: tuple[tuple[str, str], ...] = tuple(PEOPLE.items())
    row: str = "INSERT INTO people (id) VALUES (7)"


LAGS = {
    "a column": Lag(
        migration="ALTER TABLE people RENAME id TO number;",
        caught_up=(
            ("    id int", "    number int"),
            ("(id", "(number"),
            ("WHERE id", "WHERE number"),
            ("SELECT id, mood", "SELECT number AS id, mood"),
            ("OF id", "OF number"),
            ("people.id", "people.number"),
        ),
    ),
    "a table": Lag(
        migration="ALTER TABLE people RENAME TO persons;",
        caught_up=(("people ", "persons "), ("people.", "persons.")),
    ),
    "a type": Lag(
        migration="ALTER TYPE mood RENAME TO feeling;",
        caught_up=(("TYPE mood", "TYPE feeling"), ("mood mood", "mood feeling")),
    ),
    "a column with a table": Lag(
        migration="ALTER TABLE people RENAME mood TO feels; ALTER TABLE people RENAME TO persons;",
        caught_up=(
            ("people ", "persons "),
            ("people.", "persons."),
            ("    mood mood", "    feels mood"),
            ("(mood)", "(feels)"),
            ("SELECT id, mood", "SELECT id, feels AS mood"),
            ("WHERE mood", "WHERE feels"),
        ),
    ),
    "a column of a partitioned table": Lag(
        files=(("tables/visits.pssql", PARTITIONS),),
        migration="ALTER TABLE visits RENAME id TO number;",
        caught_up=(("(id", "(number"),),
        row="INSERT INTO visits VALUES (1, '2020-05-05')",
    ),
    "a partition": Lag(
        files=(("tables/visits.pssql", PARTITIONS),),
        migration="ALTER TABLE visits_1 RENAME TO visits_2020;",
        caught_up=(("visits_1", "visits_2020"),),
        row="INSERT INTO visits VALUES (1, '2020-05-05')",
    ),
}
TO_TEXT = "ALTER TABLE t ALTER m TYPE {new} USING m::text::{new}"
NEW_FIRST = f"CREATE {{1}}; {TO_TEXT.format(new='later')}; DROP {{0}} kind; ALTER {{0}} later RENAME TO kind;"
OLD_FIRST = f"ALTER {{0}} kind RENAME TO former; CREATE {{1}}; {TO_TEXT.format(new='kind')}; DROP {{0}} former;"
OF_KIND = "CREATE TABLE t (m kind);"
REPLACED = {
    "an enum": ("TYPE", "TYPE kind AS ENUM ('a', 'b', 'c')", "TYPE kind AS ENUM ('b', 'a', 'd')"),
    "an enum without a value": (
        "TYPE",
        "TYPE kind AS ENUM ('a', 'b', 'c')",
        "TYPE kind AS ENUM ('a', 'b'); UPDATE t SET m = 'a' WHERE m = 'c'",
    ),
    "a domain": ("DOMAIN", "DOMAIN kind AS text CHECK (VALUE <> '')", "DOMAIN kind AS varchar(10)"),
    "a composite type": ("TYPE", "TYPE kind AS (x int, y text)", "TYPE kind AS (y text, x bigint)"),
}
LAGS |= {
    f"{name} that is replaced, {order}": Lag(
        migration=pattern.format(word, later.replace("kind AS", f"{created} AS", 1)),
        caught_up=((f"CREATE {earlier};", f"CREATE {later.partition(';')[0]};"),),
        files=(("types/kind.pssql", f"CREATE {earlier};"), ("tables/t.pssql", OF_KIND)),
        row="INSERT INTO t VALUES (NULL)",
    )
    for name, (word, earlier, later) in REPLACED.items()
    for order, pattern, created in (("the later first", NEW_FIRST, "later"), ("the earlier first", OLD_FIRST, "kind"))
}
COLLATED = "CREATE COLLATION kind (locale = 'C'); CREATE TABLE t (m text COLLATE kind);"
LAGS["a collation that is replaced"] = Lag(
    migration="ALTER COLLATION kind RENAME TO former; CREATE COLLATION kind (locale = 'POSIX'); "
    "ALTER TABLE t ALTER m TYPE text COLLATE kind; DROP COLLATION former;",
    caught_up=(("'C'", "'POSIX'"),),
    files=(("tables/t.pssql", COLLATED),),
    row="INSERT INTO t VALUES ('x')",
)


@pytest.mark.parametrize("name", LAGS)
def test_what_a_migration_renames_keeps_its_new_name(make_database: Callable[[], str], name: str) -> None:
    lag = LAGS[name]
    declared, migration = dict(lag.files), {"migrations/1.pssql": lag.migration}
    old, new = Tenant(make_database()), Tenant(make_database())
    old.register(declared)
    old.execute(lag.row)
    for files in (declared | migration, caught_up(lag) | migration):
        report = old.migrate(files)
        lags = files.items() >= declared.items()
        assert (report.differences, bool(report.warnings)) == ((), lags)
        new.register(files)
        assert structure_of(old.conninfo) == structure_of(new.conninfo)
        again = old.migrate(files | {"seeders/none.pssql": ""})
        assert again.schema_validation.is_empty


OF_PAIRS = "CREATE TABLE pairs (a int NOT NULL UNIQUE, b text DEFAULT 'x'); CREATE INDEX ON pairs (b);"
TABLES = "CREATE TABLE a (id serial PRIMARY KEY, n int NOT NULL); CREATE TABLE b (id bigint PRIMARY KEY, m text);"
REFERRING = "CREATE TABLE c (a int REFERENCES a (id), b bigint REFERENCES b (id));"
#: Without traces in a new database: which table and column are which cannot be read from the files.
SWAPS = {
    "columns": Lag(
        migration="ALTER TABLE pairs RENAME a TO z; ALTER TABLE pairs RENAME b TO a; ALTER TABLE pairs RENAME z TO b;",
        caught_up=(
            (
                OF_PAIRS,
                "CREATE TABLE pairs (b int CONSTRAINT pairs_a_not_null NOT NULL, a text DEFAULT 'x', "
                "CONSTRAINT pairs_a_key UNIQUE (b)); CREATE INDEX pairs_b_idx ON pairs (a);",
            ),
        ),
        files=(("tables/pairs.pssql", OF_PAIRS),),
        row="INSERT INTO pairs VALUES (1, 'one')",
    ),
    "tables": Lag(
        migration="ALTER TABLE a RENAME TO z; ALTER TABLE b RENAME TO a; ALTER TABLE z RENAME TO b;",
        caught_up=(
            (
                TABLES,
                "CREATE SEQUENCE a_id_seq AS int; CREATE TABLE b (id int CONSTRAINT a_id_not_null NOT NULL "
                "DEFAULT nextval('a_id_seq') CONSTRAINT a_pkey PRIMARY KEY, n int CONSTRAINT a_n_not_null NOT NULL); "
                "ALTER SEQUENCE a_id_seq OWNED BY b.id; "
                "CREATE TABLE a (id bigint CONSTRAINT b_id_not_null NOT NULL CONSTRAINT b_pkey PRIMARY KEY, m text);",
            ),
            ("a int REFERENCES a", "a int REFERENCES b"),
            ("b bigint REFERENCES b", "b bigint REFERENCES a"),
        ),
        files=(("tables/a.pssql", TABLES + REFERRING),),
        row="INSERT INTO a (n) VALUES (1); INSERT INTO b VALUES (1, 'one'); INSERT INTO c VALUES (1, 1)",
    ),
    "a column by another": Lag(
        migration="ALTER TABLE t ADD z int; UPDATE t SET z = length(a); ALTER TABLE t DROP a; "
        "ALTER TABLE t RENAME z TO a;",
        caught_up=(("a text", "a int"),),
        files=(("tables/t.pssql", "CREATE TABLE t (a text);"),),
        row="INSERT INTO t VALUES ('four')",
    ),
    "an enum without its last value": Lag(
        migration="CREATE TYPE z AS ENUM ('a'); ALTER TABLE t ALTER m TYPE z USING m::text::z; DROP TYPE kind; "
        "ALTER TYPE z RENAME TO kind;",
        caught_up=((", 'b'", ""),),
        files=(("types/kind.pssql", "CREATE TYPE kind AS ENUM ('a', 'b');"), ("tables/t.pssql", OF_KIND)),
        row="INSERT INTO t VALUES ('a')",
    ),
}


@pytest.mark.parametrize("name", SWAPS)
def test_what_a_migration_swaps_stays_until_the_files_follow(make_database: Callable[[], str], name: str) -> None:
    lag = SWAPS[name]
    declared, migration = dict(lag.files), {"migrations/1.pssql": lag.migration}
    old, new = Tenant(make_database()), Tenant(make_database())
    old.register(declared)
    old.execute(lag.row)
    (place, *_), other = declared, {"tables/other.pssql": "CREATE TABLE other (x int);"}
    for files in (declared | migration, declared | migration | other):
        report = old.migrate(files)
        assert any(
            line.startswith(f"{place} declares ") and line.endswith("new databases get what is declared")
            for line in report.warnings
        )
        assert report.differences
        assert not [line for line in report.differences if "by hand" in line]
    report = old.migrate(caught_up(lag) | migration | other)
    assert report.differences == report.warnings == ()
    assert report.schema_validation.is_empty
    new.register(caught_up(lag) | migration | other)
    assert structure_of(old.conninfo) == structure_of(new.conninfo)


T = "CREATE TABLE t (id int PRIMARY KEY{});"
#: What a migration makes, its declaration, the rename, and the declaration after it.
LATE = {
    "a type": (
        "CREATE TYPE kind AS ENUM ('a'); ALTER TABLE t ADD k kind;",
        "CREATE TYPE kind AS ENUM ('a');" + T.format(", k kind"),
        "ALTER TYPE kind RENAME TO sort;",
        "CREATE TYPE sort AS ENUM ('a');" + T.format(", k sort"),
    ),
    "a value of a type": (
        "CREATE TYPE kind AS ENUM ('a'); ALTER TABLE t ADD k kind;",
        "CREATE TYPE kind AS ENUM ('a');" + T.format(", k kind"),
        "ALTER TYPE kind RENAME VALUE 'a' TO 'b';",
        "CREATE TYPE kind AS ENUM ('b');" + T.format(", k kind"),
    ),
    "a column": (
        "ALTER TABLE t ADD k int;",
        T.format(", k int"),
        "ALTER TABLE t RENAME k TO l;",
        T.format(", l int"),
    ),
    "a table": (
        "CREATE TABLE u (x int UNIQUE);",
        T.format("") + "CREATE TABLE u (x int UNIQUE);",
        "ALTER TABLE u RENAME TO w;",
        T.format("") + "CREATE TABLE w (x int CONSTRAINT u_x_key UNIQUE);",
    ),
    "a key with a name that PostgreSQL chose": (
        "ALTER TABLE t RENAME TO z; CREATE TABLE t (LIKE z INCLUDING ALL); DROP TABLE z;",
        "CREATE TABLE t (id int CONSTRAINT t_pkey1 PRIMARY KEY);",
        "ALTER TABLE t RENAME CONSTRAINT t_pkey1 TO own;",
        "CREATE TABLE t (id int CONSTRAINT own PRIMARY KEY);",
    ),
}


@pytest.mark.parametrize("name", LATE)
def test_what_is_declared_in_the_release_that_renames_it(make_database: Callable[[], str], name: str) -> None:
    made, declared, renamed, caught_up = LATE[name]
    first, second = {"migrations/1.pssql": made}, {"migrations/1.pssql": made, "migrations/2.pssql": renamed}
    old, skipping, new = (Tenant(make_database()) for _ in range(3))
    for tenant in (old, skipping):
        tenant.register({"tables/t.pssql": T.format("")})
    old.migrate({"tables/t.pssql": T.format("")} | first)
    assert old.migrate({"tables/t.pssql": declared} | second).differences == ()
    last = {"tables/t.pssql": caught_up} | second
    assert old.migrate(last).differences == skipping.migrate(last).differences == new.register(last).differences == ()
    assert structure_of(old.conninfo) == structure_of(skipping.conninfo) == structure_of(new.conninfo)


def test_the_declared_table_comes_back_without_the_migration(tenant: Tenant) -> None:
    tenant.register(PEOPLE)
    tenant.migrate(PEOPLE | {"migrations/1.pssql": "ALTER TABLE pets RENAME owner TO owned_by;"})
    report = tenant.migrate(PEOPLE)
    assert [(one.change_type, one.table, one.column) for one in report.schema_validation.safe_changes[:1]] == [
        ("add_column", "pets", "owner")
    ]
    assert any(line.startswith("pets.owned_by (drop column)") for line in report.differences)


def test_a_declaration_that_cannot_hold_is_named_with_its_file(tenant: Tenant) -> None:
    files = {
        "types/mood.pssql": TYPE,
        "tables/t.pssql": "CREATE TABLE t (m mood);",
        "functions/v.pssql": "CREATE VIEW v AS SELECT * FROM t WHERE m = 'glad';",
    }
    tenant.register(files)
    with pytest.raises(EngineError) as failure:
        tenant.migrate(files | {"migrations/1.pssql": "ALTER TYPE mood RENAME VALUE 'glad' TO 'happy';"})
    assert failure.value.file == "functions/v.pssql"
    assert failure.value.message == (
        'functions/v.pssql, line 1 failed: invalid input value for enum mood: "glad"; migrations/1.pssql renames '
        "'glad' to 'happy', so write 'happy' in functions/v.pssql"
    )


def test_one_warning_names_all_that_a_migration_makes_otherwise_of_a_table(tenant: Tenant) -> None:
    columns = ("a", "b", "c", "d", "e", "f")
    declared = f"CREATE TABLE t ({', '.join(f'{name} bigint' for name in columns)}, h int); CREATE TABLE u (a bigint);"
    narrowing = ", ".join(f"ALTER {name} TYPE int" for name in columns)
    report = tenant.register(
        {
            "tables/t.pssql": declared,
            "migrations/1.pssql": f"ALTER TABLE t {narrowing};",
            "migrations/2.pssql": "ALTER TABLE u ALTER a TYPE int; ALTER TABLE t ALTER h SET DEFAULT 3;",
        }
    )
    assert report.warnings == (
        "tables/t.pssql declares t.a with type bigint, t.b with type bigint, t.c with type bigint, "
        "t.d with type bigint, t.e with type bigint and 1 more, migrations/1.pssql makes t.a integer, t.b integer, "
        "t.c integer, t.d integer, t.e integer and 1 more; new databases get what migrations/1.pssql makes",
        "tables/t.pssql declares t.h without default, migrations/2.pssql makes it 3; new databases get 3",
        "tables/t.pssql declares u.a with type bigint, migrations/2.pssql makes it integer; new databases get integer",
    )


def test_a_warning_names_the_migration_of_what_follows_another_object(tenant: Tenant) -> None:
    partitioned = "CREATE TABLE p (id int, k int) PARTITION BY RANGE (k); CREATE TABLE q PARTITION OF p DEFAULT;"
    report = tenant.register(
        {
            "types/mood.pssql": TYPE,
            "tables/p.pssql": partitioned,
            "tables/t.pssql": "CREATE TABLE t (m mood DEFAULT 'glad');",
            "migrations/0.pssql": "ALTER TABLE t ADD CONSTRAINT c CHECK (m IS NOT NULL);",
            "migrations/1.pssql": "ALTER TYPE mood RENAME VALUE 'glad' TO 'happy';",
            "migrations/2.pssql": "ALTER TABLE p ALTER id SET NOT NULL;",
            "migrations/3.pssql": "ALTER TABLE p ADD PRIMARY KEY (k);",
        }
    )
    files = {sentence.partition(" declares ")[0]: sentence for sentence in report.warnings}
    assert files.keys() == {"types/mood.pssql", "tables/t.pssql", "tables/p.pssql"}
    assert "migrations/1.pssql makes it 'happy'::mood" in files["tables/t.pssql"]
    assert "migrations/2.pssql makes it NOT NULL" in files["tables/p.pssql"]
    assert "p.k" not in " ".join(report.warnings)
    assert "q.k" not in " ".join(report.warnings)


def test_a_comment_is_named_by_its_object(tenant: Tenant) -> None:
    files = {"tables/t.pssql": "CREATE TABLE t (a int); COMMENT ON COLUMN t.a IS 'one';"}
    tenant.register(files)
    report = tenant.migrate(files | {"migrations/1.pssql": "COMMENT ON COLUMN t.a IS 'two';"})
    assert report.warnings == (
        "tables/t.pssql declares the comment on table column public.t.a as one, migrations/1.pssql makes it two; "
        "new databases get what is declared",
    )


def caught_up(lag: Lag) -> dict[str, str]:
    files = dict(lag.files)
    for old, new in lag.caught_up:
        assert any(old in text for text in files.values()), old
        files = {label: text.replace(old, new) for label, text in files.items()}
    return files
