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
