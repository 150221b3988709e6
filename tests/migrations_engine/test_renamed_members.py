"""Constraints, indexes and the like that get another name, or that belong to or refer to what gets one."""

from __future__ import annotations

import pytest

from .conftest import files
from .histories.checks import structure
from .test_any_evolution import make

__all__ = ["make"]

TABLE = "CREATE TABLE t (id int PRIMARY KEY, a int);"
FUNCTION = "CREATE FUNCTION tr() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';"
ROWS = "INSERT INTO p VALUES (1), (2); INSERT INTO t VALUES (1, 1);"

#: What makes a member of that name, how a migration renames it, and on what a comment is.
MEMBERS = {
    "index": ("CREATE INDEX {0} ON t (a);", "ALTER INDEX {0} RENAME TO {1};", "INDEX {}"),
    "constraint": (
        "ALTER TABLE t ADD CONSTRAINT {0} CHECK (a > 0);",
        "ALTER TABLE t RENAME CONSTRAINT {0} TO {1};",
        "CONSTRAINT {} ON t",
    ),
    "trigger": (
        FUNCTION + "CREATE TRIGGER {0} BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION tr();",
        "ALTER TRIGGER {0} ON t RENAME TO {1};",
        "TRIGGER {} ON t",
    ),
    "policy": ("CREATE POLICY {0} ON t USING (a > 0);", "ALTER POLICY {0} ON t RENAME TO {1};", "POLICY {} ON t"),
    "rule": (
        "CREATE RULE {0} AS ON DELETE TO t DO INSTEAD NOTHING;",
        "ALTER RULE {0} ON t RENAME TO {1};",
        "RULE {} ON t",
    ),
    "statistics": ("CREATE STATISTICS {0} ON id, a FROM t;", "ALTER STATISTICS {0} RENAME TO {1};", "STATISTICS {}"),
}


@pytest.mark.parametrize("kind", MEMBERS)
@pytest.mark.parametrize("later", [None, "x", "y"])
@pytest.mark.parametrize("names", [("i", "j"), ("i", '"J j"')])
@pytest.mark.parametrize("migrates", [True, False])
def test_a_comment_follows_the_name_of_its_object(make, kind, later, names, migrates):
    member, rename, subject = MEMBERS[kind]
    old, new = names
    comment = f"COMMENT ON {subject.format(new)} IS '{later}';" if later else ""
    migrations = [rename.format(old, new)] if migrates else []
    last = files(TABLE + member.format(new) + comment, *migrations)
    tenant, fresh = make(), make()
    tenant.register(files(TABLE + member.format(old) + f"COMMENT ON {subject.format(old)} IS 'x';"))
    assert tenant.migrate(last).differences == ()
    fresh.register(last)
    assert structure(tenant) == structure(fresh)
    assert tenant.migrate(last | {"seeders/none.pssql": ""}).schema_validation.is_empty


@pytest.mark.parametrize("migrates", [True, False])
def test_a_comment_made_by_hand_stays_on_a_renamed_object(make, migrates):
    tenant = make()
    tenant.register(files(TABLE + "CREATE INDEX i ON t (a);"))
    tenant.execute("COMMENT ON INDEX i IS 'by hand'")
    last = files(TABLE + "CREATE INDEX j ON t (a);", *["ALTER INDEX i RENAME TO j;"] * migrates)
    assert tenant.migrate(last).differences == (
        "the comment on index public.j (alter comment): here by hand, in a new database not there; "
        "it was changed by hand, or by a file that is gone",
    )


@pytest.mark.parametrize(
    ("parent", "column", "rename"),
    [
        ("q", "id", "ALTER TABLE p RENAME TO q;"),
        ("p", "n", "ALTER TABLE p RENAME id TO n;"),
        ("s.p", "id", "CREATE SCHEMA IF NOT EXISTS s; ALTER TABLE p SET SCHEMA s;"),
    ],
)
def test_foreign_keys_to_what_a_skipped_release_renamed_are_unchanged(make, parent, column, rename):
    schema = "CREATE SCHEMA s;" if "." in parent else ""
    tenant = make()
    tenant.register(files("CREATE TABLE p (id int PRIMARY KEY);" + TABLE.replace("a int", "a int REFERENCES p")))
    tenant.execute(ROWS)
    key = f"CONSTRAINT t_a_fkey FOREIGN KEY (a) REFERENCES {parent}"
    last = f"{schema}CREATE TABLE {parent} ({column} int, CONSTRAINT p_pkey PRIMARY KEY ({column}));"
    last += TABLE.replace("a int", f"a int, {key}")
    report = tenant.migrate(files(last, rename, "UPDATE t SET a = 2;"))
    validation = report.schema_validation
    assert [change.change_type for change in validation.safe_changes if "constraint" in change.change_type] == []
    assert (validation.dataloss_changes, validation.incompatible_changes) == ((), ())


def test_a_check_that_changes_with_the_name_of_its_column_is_listed(make):
    tenant = make()
    tenant.register(files("CREATE TABLE t (id int PRIMARY KEY, a int CONSTRAINT k CHECK (a > 0));"))
    last = "CREATE TABLE t (id int PRIMARY KEY, n int CONSTRAINT k CHECK (n > 5));"
    change = "ALTER TABLE t RENAME a TO n; ALTER TABLE t DROP CONSTRAINT IF EXISTS k;"
    report = tenant.migrate(files(last, change + "ALTER TABLE t ADD CONSTRAINT k CHECK (n > 5);"))
    (listed,) = (one for one in report.schema_validation.safe_changes if one.change_type == "alter_constraint")
    assert (listed.column, listed.to_type, listed.rows_at_risk) == ("k", "CHECK ((n > 5))", 0)


#: What a migration renames, and how the next one uses the new name.
LAGGING = {
    "check": (
        "ALTER TABLE t RENAME CONSTRAINT k TO k2;",
        "ALTER TABLE t DROP CONSTRAINT k2, ADD CONSTRAINT k2 CHECK (a > 1);",
    ),
    "check, again": ("ALTER TABLE t RENAME CONSTRAINT k TO k2;", "ALTER TABLE t RENAME CONSTRAINT k2 TO k3;"),
    "check, if it exists": ("ALTER TABLE t RENAME CONSTRAINT k TO k2;", "ALTER TABLE t DROP CONSTRAINT IF EXISTS k2;"),
    "check, renamed twice": (
        "ALTER TABLE t RENAME CONSTRAINT k TO k2; ALTER TABLE t RENAME CONSTRAINT k2 TO k3;",
        "ALTER TABLE t DROP CONSTRAINT k3;",
    ),
    "check, renamed and dropped": (
        "ALTER TABLE t RENAME CONSTRAINT k TO k2; ALTER TABLE t DROP CONSTRAINT k2;",
        "ALTER TABLE t ADD CONSTRAINT k2 CHECK (a > 5);",
    ),
    "key": (
        "ALTER TABLE t RENAME CONSTRAINT t_pkey TO p;",
        "ALTER TABLE t DROP CONSTRAINT p; ALTER TABLE t ADD PRIMARY KEY (id, a);",
    ),
    "index": ("ALTER INDEX i RENAME TO i2;", "ALTER INDEX i2 SET (fillfactor = 50); COMMENT ON INDEX i2 IS 'x';"),
    "index, dropped": ("ALTER INDEX i RENAME TO i2;", "DROP INDEX i2; CREATE INDEX i2 ON t (a DESC);"),
    "sequence": ("ALTER SEQUENCE t_id_seq RENAME TO q;", "ALTER SEQUENCE q INCREMENT 5;"),
    "check of a domain": (
        "ALTER DOMAIN d RENAME CONSTRAINT dk TO dk2;",
        "ALTER DOMAIN d DROP CONSTRAINT dk2; ALTER DOMAIN d ADD CONSTRAINT dk2 CHECK (VALUE > 1);",
    ),
}


@pytest.mark.parametrize("case", LAGGING)
def test_a_migration_uses_the_name_that_an_earlier_one_gave(make, case):
    declared = (
        "CREATE TABLE t (id serial PRIMARY KEY, a int NOT NULL CONSTRAINT k CHECK (a > 0)); CREATE INDEX i ON t (a);"
        "CREATE DOMAIN d AS int CONSTRAINT dk CHECK (VALUE > 0);"
    )
    renaming, using = LAGGING[case]
    tenant, skipping, fresh = make(), make(), make()
    for one in (tenant, skipping):
        one.register(files(declared))
        one.execute("INSERT INTO t (a) VALUES (9)")
    tenant.migrate(files(declared, renaming))
    last = files(declared, renaming, using)
    assert [one.migrate(last).differences for one in (tenant, skipping)] == [(), ()]
    fresh.register(last)
    assert structure(tenant) == structure(skipping) == structure(fresh)
