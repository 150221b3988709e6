"""Every piece of advice in a refusal works when it is followed to the letter."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import pytest

from migrations_engine import EngineError


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """A deploy that is refused, what its message advises, and the same with the advice followed."""

    advice: str
    before: dict[str, str] = field(default_factory=dict)
    refused: dict[str, str]
    advised: dict[str, str] | None = None  #: None: the same files with force
    rows: str = ""


T = {"tables/t.pssql": "CREATE TABLE t (id int PRIMARY KEY, a int);"}
NARROW = {"tables/t.pssql": "CREATE TABLE t (id int PRIMARY KEY);"}
ONE = "CREATE TABLE one (id int PRIMARY KEY, two int{});"
TWO = "CREATE TABLE two (id int PRIMARY KEY, one int REFERENCES one);"

CHILD = 'CREATE TABLE "p q" (c {0}); CREATE TABLE r (c {0}, x int); CREATE TABLE k (id int) INHERITS ("p q", r);'
TWO_PARENTS = (
    'ALTER TABLE k NO INHERIT r; ALTER TABLE "p q" ALTER COLUMN c TYPE bigint; '
    "ALTER TABLE r ALTER COLUMN c TYPE bigint; ALTER TABLE k INHERIT r"
)

F = "CREATE OR REPLACE FUNCTION f(x int) RETURNS {} LANGUAGE sql AS 'SELECT 1';"
CHECKED = {
    "tables/t.pssql": "CREATE TABLE t (id int PRIMARY KEY, a int CHECK (a > 0));",
    "functions/f.pssql": F.format("bigint"),
}

ON_MIGRATION = {"migrations/001.pssql": ONE.format(""), "tables/two.pssql": TWO}
CREATED_LATER = (
    "; migrations/001.pssql creates one, but migrations run after types/ and tables/: declare one there, too, or put "
    "this statement into a later migration"
)

REFUSALS = {
    "a table that refers to one of a migration": Refusal(
        advice=f'relation "one" does not exist{CREATED_LATER}',
        refused=ON_MIGRATION,
        advised=ON_MIGRATION | {"tables/one.pssql": ONE.format("")},
    ),
    "a table that refers to one of an applied migration": Refusal(
        advice=f'relation "one" does not exist{CREATED_LATER}',
        before={"migrations/001.pssql": ONE.format("")},
        refused=ON_MIGRATION,
        advised={"migrations/001.pssql": ONE.format(""), "migrations/002.pssql": TWO},
    ),
    "a column of two parents": Refusal(
        advice=f"because k inherits it from several tables; use a migration: {TWO_PARENTS}",
        before={"tables/t.pssql": CHILD.format("int")},
        rows="INSERT INTO k VALUES (1, 2, 3)",
        refused={"tables/t.pssql": CHILD.format("bigint")},
        advised={"tables/t.pssql": CHILD.format("bigint"), "migrations/001.pssql": TWO_PARENTS},
    ),
    "a column of two parents, in a migration": Refusal(
        advice=TWO_PARENTS,
        before={"tables/t.pssql": CHILD.format("int")},
        rows="INSERT INTO k VALUES (1, 2, 3)",
        refused={
            "tables/t.pssql": CHILD.format("bigint"),
            "migrations/001.pssql": 'ALTER TABLE "p q" ALTER c TYPE bigint;',
        },
        advised={"tables/t.pssql": CHILD.format("bigint"), "migrations/001.pssql": TWO_PARENTS},
    ),
    "a view made by hand over a function with another result": Refusal(
        advice='w: alter view failed: cannot change data type of view column "f" from integer to bigint; it is not '
        "declared, and uses what changes: drop it in a migration",
        before=T | {"functions/f.pssql": F.format("int")},
        rows="INSERT INTO t VALUES (1, 1); CREATE VIEW w AS SELECT f(1)",
        refused=CHECKED,
        advised=CHECKED | {"migrations/001.pssql": "DROP VIEW w;"},
    ),
    "a dangerous difference, by a migration": Refusal(
        advice="add a migration that makes the change",
        before=T,
        rows="INSERT INTO t VALUES (1, 1)",
        refused=NARROW,
        advised=NARROW | {"migrations/001.pssql": "ALTER TABLE t DROP COLUMN a;"},
    ),
    "a dangerous difference, by force": Refusal(
        advice="repeat the request with force",
        before=T,
        rows="INSERT INTO t VALUES (1, 1)",
        refused=NARROW | {"tables/u.pssql": "CREATE TABLE u (a int);"},
    ),
    "an incompatible difference": Refusal(
        advice="use a migration",
        before=T,
        rows="INSERT INTO t VALUES (1, 1)",
        refused={"tables/t.pssql": "CREATE TABLE t (id int PRIMARY KEY, a boolean);"},
        advised={
            "tables/t.pssql": "CREATE TABLE t (id int PRIMARY KEY, a boolean);",
            "migrations/001.pssql": "ALTER TABLE t ALTER a TYPE boolean USING a <> 0;",
        },
    ),
    "a sequence with a smaller range": Refusal(
        advice="a migration can begin anew: ALTER SEQUENCE s AS integer MINVALUE 1 MAXVALUE 1000 START 1 RESTART",
        before={"tables/t.pssql": "CREATE SEQUENCE s START 2000;"},
        rows="SELECT nextval('s')",
        refused={"tables/t.pssql": "CREATE SEQUENCE s AS int MAXVALUE 1000;"},
        advised={
            "tables/t.pssql": "CREATE SEQUENCE s AS int MAXVALUE 1000;",
            "migrations/001.pssql": "ALTER SEQUENCE s AS integer MINVALUE 1 MAXVALUE 1000 START 1 RESTART;",
        },
    ),
    "tables that refer to each other": Refusal(
        advice="Take one of the foreign keys out and write it as ALTER TABLE … ADD FOREIGN KEY in a file of its own",
        refused={"tables/one.pssql": ONE.format(" REFERENCES two"), "tables/two.pssql": TWO},
        advised={
            "tables/one.pssql": ONE.format(""),
            "tables/two.pssql": TWO,
            "tables/one_two.pssql": "ALTER TABLE one ADD FOREIGN KEY (two) REFERENCES two;",
        },
    ),
    "a statement that needs no transaction": Refusal(
        advice="begin the file with the line '-- gateway: no-transaction'",
        before=T,
        refused=T | {"migrations/001.pssql": "CREATE INDEX CONCURRENTLY t_a ON t (a);"},
        advised=T | {"migrations/001.pssql": "-- gateway: no-transaction\nCREATE INDEX CONCURRENTLY t_a ON t (a);"},
    ),
    "a changed migration, restored": Refusal(
        advice="restore its text and put the change into a new migration",
        before=T | {"migrations/001.pssql": "INSERT INTO t VALUES (1, 1);"},
        refused=T | {"migrations/001.pssql": "INSERT INTO t VALUES (1, 2);"},
        advised=T
        | {
            "migrations/001.pssql": "INSERT INTO t VALUES (1, 1);",
            "migrations/002.pssql": "UPDATE t SET a = 2 WHERE id = 1;",
        },
    ),
    "a statement that would end the deploy's transaction": Refusal(
        advice="remove the statement",
        refused=T | {"migrations/001.pssql": "INSERT INTO t VALUES (1, 1);\nROLLBACK;"},
        advised=T | {"migrations/001.pssql": "INSERT INTO t VALUES (1, 1);\n"},
    ),
    "rows by COPY": Refusal(
        advice="write the rows as INSERT",
        refused=T | {"seeders/t.pssql": "COPY t FROM STDIN;"},
        advised=T | {"seeders/t.pssql": "INSERT INTO t VALUES (1, 1);"},
    ),
}


@pytest.mark.parametrize("refusal", REFUSALS.values(), ids=REFUSALS)
def test_advice_works_when_followed(tenant, refusal: Refusal):
    if refusal.before:
        tenant.register(refusal.before)
    if refusal.rows:
        tenant.execute(refusal.rows)
    with pytest.raises(EngineError) as failure:
        tenant.register(refusal.refused)
    assert refusal.advice in failure.value.message
    followed = refusal.refused if refusal.advised is None else refusal.advised
    tenant.register(followed, force=refusal.advised is None)
    assert tenant.register(followed).schema_validation.is_empty


PARENT = "CREATE TABLE h (a int) PARTITION BY RANGE (a); "
PLAIN = "CREATE TABLE p (a int); CREATE TABLE q (a int); "


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            PARENT + "CREATE TABLE t PARTITION OF h FOR VALUES FROM (0) TO (9);",
            PARENT + "CREATE TABLE t PARTITION OF h FOR VALUES FROM (0) TO (99);",
        ),
        (PARENT + "CREATE TABLE t (a int);", PARENT + "CREATE TABLE t PARTITION OF h DEFAULT;"),
        (PARENT + "CREATE TABLE t PARTITION OF h DEFAULT;", PARENT + "CREATE TABLE t (a int);"),
        (PLAIN + "CREATE TABLE t (b int) INHERITS (p);", PLAIN + "CREATE TABLE t (b int) INHERITS (q);"),
    ],
    ids=["bounds of a partition", "a table becomes a partition", "a partition becomes a table", "another parent"],
)
def test_the_statements_that_a_refusal_gives_make_the_change(tenant, before: str, after: str):
    tenant.register({"tables/t.pssql": before})
    tenant.execute("INSERT INTO t (a) VALUES (5)")
    with pytest.raises(EngineError) as failure:
        tenant.migrate({"tables/t.pssql": after})
    statements = re.search(r"use a migration: (ALTER TABLE .*?); rows not", failure.value.message)[1]
    advised = {"tables/t.pssql": after, "migrations/001.pssql": statements}
    report = tenant.migrate(advised)
    assert tenant.rows("SELECT a FROM t") == [(5,)]
    assert {change.file for change in report.schema_validation.incompatible_changes} == {"migrations/001.pssql"}
    assert tenant.migrate(advised | {"seeders/none.pssql": ""}).schema_validation.is_empty


DEFAULT = "CREATE TABLE h_rest PARTITION OF h DEFAULT; CREATE INDEX ON h (n);"


@pytest.mark.parametrize(
    ("table", "partition"),
    [
        ("CREATE TABLE h (n int, r text) PARTITION BY LIST (r); ", "FOR VALUES IN ('a', 'c', NULL)"),
        ("CREATE TABLE h (n int, r text) PARTITION BY RANGE (r); ", "FOR VALUES FROM ('a') TO ('b')"),
        (
            "CREATE TABLE h (n int, r text, g int GENERATED ALWAYS AS (n * 2) STORED,"
            " k bigint GENERATED ALWAYS AS IDENTITY) PARTITION BY LIST (lower(r)); ",
            "FOR VALUES IN ('a')",
        ),
    ],
)
@pytest.mark.parametrize("apart", [False, True])
def test_a_migration_moves_rows_from_the_default_partition_as_advised(tenant, make_database, table, partition, apart):
    new = f'CREATE TABLE "H a" PARTITION OF h {partition};'
    last = (
        {"tables/t.pssql": table + DEFAULT, "tables/u.pssql": new}
        if apart
        else {"tables/t.pssql": table + DEFAULT + new}
    )
    tenant.register({"tables/t.pssql": table + DEFAULT})
    tenant.execute("INSERT INTO h (n, r) VALUES (1, 'a'), (2, 'b')")
    with pytest.raises(EngineError) as failure:
        tenant.migrate(last)
    assert failure.value.line == (1 if apart else None)
    statements = re.search(
        r"1 rows of h_rest belong in \"H a\"; let a migration move them: (.*)", failure.value.message
    )[1]
    advised = last | {"migrations/001.pssql": statements}
    tenant.migrate(advised)
    assert tenant.rows("SELECT tableoid::regclass::text, n FROM h ORDER BY n") == [('"H a"', 1), ("h_rest", 2)]
    assert tenant.migrate(advised | {"seeders/none.pssql": ""}).schema_validation.is_empty
    assert type(tenant)(make_database()).register(advised).differences == ()


def test_a_release_that_was_skipped_is_deployed_first(tenant):
    skipped = NARROW | {"migrations/001.pssql": "ALTER TABLE t DROP COLUMN a;"}
    tenant.register(T)
    with pytest.raises(EngineError, match="or first deploy an earlier release that has one"):
        tenant.migrate(NARROW)
    tenant.migrate(skipped)
    assert tenant.migrate(NARROW).schema_validation.is_empty


def test_what_no_migration_mentions_is_refused_before_one_outside_a_transaction(tenant):
    tenant.register(T)
    tenant.execute("INSERT INTO t VALUES (1, 1)")
    outside = "-- gateway: no-transaction\nCREATE TABLE made (a int);"
    with pytest.raises(EngineError, match=r"t\.a: drop column"):
        tenant.migrate(NARROW | {"migrations/001.pssql": outside})
    assert tenant.rows("SELECT to_regclass('made')") == [(None,)]
    dropping = {"migrations/001.pssql": outside, "migrations/002.pssql": "ALTER TABLE t DROP COLUMN a;"}
    report = tenant.migrate(NARROW | dropping)
    assert report.migrations_applied == 2


def test_no_difference_is_reported_that_a_migration_has_removed(tenant):
    tenant.register(T)
    tenant.execute("INSERT INTO t VALUES (1, 1)")
    report = tenant.migrate(NARROW | {"migrations/001.pssql": "ALTER TABLE t DROP COLUMN a;"}, force=True)
    assert report.warnings == ()
    assert [change.file for change in report.schema_validation.dataloss_changes] == ["migrations/001.pssql"]


def test_a_renamed_table_is_not_a_new_one(tenant):
    tenant.register(T)
    renamed = {"tables/t.pssql": "CREATE TABLE renamed (id int PRIMARY KEY, a int);"}
    report = tenant.migrate(renamed | {"migrations/001.pssql": "ALTER TABLE t RENAME TO renamed;"})
    assert (report.tables_created, report.schema_validation.dataloss_changes) == (0, ())


def test_a_refusal_names_the_enum_values_that_stay(tenant):
    first = {
        "types/m.pssql": "CREATE TYPE m AS ENUM ('a');",
        "tables/t.pssql": "CREATE TABLE t (id int PRIMARY KEY, x m);",
    }
    using = "ALTER TABLE t ALTER x SET DEFAULT 'b';"
    then = first | {"types/m.pssql": "CREATE TYPE m AS ENUM ('a', 'b');", "migrations/001.pssql": using}
    tenant.register(first)
    with pytest.raises(EngineError, match=r"division by zero .*already uses them: m\.b; this stays"):
        tenant.migrate(then | {"migrations/002.pssql": "SELECT 1 / 0;"})
    assert tenant.rows("SELECT enum_range(NULL::m)::text") == [("{a,b}",)]
    assert tenant.migrate(then).migrations_applied == 1


@pytest.mark.parametrize("use", ["tables", "migrations"])
def test_a_dry_run_says_what_it_could_not_try_because_of_a_new_enum_value(tenant, use):
    first = {
        "types/m.pssql": "CREATE TYPE m AS ENUM ('a');",
        "tables/t.pssql": "CREATE TABLE t (id int PRIMARY KEY, x m);",
    }
    then = first | {"types/m.pssql": "CREATE TYPE m AS ENUM ('a', 'b');"}
    if use == "tables":
        then["tables/t.pssql"] = "CREATE TABLE t (id int PRIMARY KEY, x m DEFAULT 'b');"
    else:
        then["migrations/001.pssql"] = "UPDATE t SET x = 'b';"
    tenant.register(first)
    before = tenant.catalog()
    report = tenant.migrate(then, dry_run=True)
    assert report.dry_run
    assert re.search(r'new value "b" .*, so what follows was not tried', report.warnings[-1])
    assert [statement.sql for statement in report.plan] == [
        """ALTER TYPE "public"."m" ADD VALUE IF NOT EXISTS 'b' AFTER 'a'"""
    ]
    assert tenant.catalog() == before
    tenant.migrate(then)
