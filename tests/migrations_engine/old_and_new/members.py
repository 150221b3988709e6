"""Constraints, indexes, triggers and the like that declarations and migrations change."""

from __future__ import annotations

from .history import GIVEN, MADE, TR, History, T, tables

UNNAMED = (
    "ALTER TABLE t ADD CHECK (a > 0 AND b <> ''), ADD UNIQUE (b);",
    "CREATE INDEX ON t (a); ALTER TABLE t ADD FOREIGN KEY (a) REFERENCES t; ALTER TABLE t ADD UNIQUE (a, b);",
    "ALTER TABLE t ADD CHECK (a > 0 AND b <> 'x'); ALTER TABLE t ADD EXCLUDE (b WITH =);",
)
PARTED = "CREATE TABLE t (a int, b int) PARTITION BY LIST (a);CREATE TABLE t1 PARTITION OF t {} FOR VALUES IN (1);"
K = T + "ALTER TABLE t ADD CONSTRAINT k CHECK (a > 0);"
CHANGED_K = "ALTER TABLE t DROP CONSTRAINT k; ALTER TABLE t ADD CONSTRAINT k CHECK (a > 1);"
OTHER_K = "ALTER TABLE t ADD CONSTRAINT l CHECK (a > 0);"

HISTORIES = (
    History(
        name="a migration changes a declared constraint, and another one gets its earlier definition",
        versions=(
            tables(K),
            tables(K, CHANGED_K),
            tables(K + OTHER_K, CHANGED_K + "--" + OTHER_K),
        ),
        warnings=(MADE.format("t.k with constraint CHECK ((a > 0))", "makes it CHECK ((a > 1))", "CHECK ((a > 1))"),),
    ),
    History(
        name="a migration changes a declared key, and another one is declared with its earlier definition",
        versions=(
            tables(T + "ALTER TABLE t ADD CONSTRAINT k UNIQUE (a);"),
            tables(
                T + "ALTER TABLE t ADD CONSTRAINT k UNIQUE (a), ADD CONSTRAINT b UNIQUE (a);",
                "ALTER TABLE t DROP CONSTRAINT k; ALTER TABLE t ADD CONSTRAINT k UNIQUE (b);",
            ),
        ),
        warnings=(MADE.format("t.k with constraint UNIQUE (a)", "makes it UNIQUE (b)", "UNIQUE (b)"),),
    ),
    History(
        name="migrations and declarations add the same without naming it",
        versions=(
            tables(T),
            tables(T, "--".join(UNNAMED)),
            tables(T + "".join(UNNAMED), "--".join(UNNAMED)),
        ),
        rows="INSERT INTO t VALUES (1, 1, 'y')",
    ),
    History(
        name="a migration adds without a name what was declared before",
        versions=(tables(T + "".join(UNNAMED)), tables(T + "".join(UNNAMED), "--".join(UNNAMED))),
        rows="INSERT INTO t VALUES (1, 1, 'y')",
    ),
    History(
        name="a migration and a declaration give the same index two names",
        versions=(tables(T), tables(T + "CREATE INDEX ON t (a);", "CREATE INDEX i ON t (a); CREATE INDEX j ON t (b, a);")),
    ),
    History(
        name="a migration replaces an index by one of the same definition, and another one drops the old one",
        versions=(
            tables(T + "CREATE INDEX ON t (a);"),
            tables(T + "CREATE INDEX ON t (a);", "CREATE INDEX i ON t (a); -- DROP INDEX t_a_idx;"),
        ),
        warnings=("tables/t.pssql declares t.t_a_idx as USING btree (a), migrations/002.pssql drops or renames it",),
    ),
    History(
        name="a migration makes a second index, and another one a constraint of it",
        versions=(
            tables(T),
            tables(
                T + "CREATE UNIQUE INDEX ON t (a);",
                "CREATE UNIQUE INDEX i ON t (a); -- ALTER TABLE t ADD CONSTRAINT k UNIQUE USING INDEX i;",
            ),
        ),
    ),
    History(
        name="a migration fills a new table, and validates a check that is new in this database",
        versions=(
            tables(T),
            tables(
                T + "ALTER TABLE t ADD CONSTRAINT k CHECK (a > 0);",
                "INSERT INTO n SELECT a FROM t; ALTER TABLE t VALIDATE CONSTRAINT k;",
            )
            | {"tables/n.pssql": "CREATE TABLE n (a int);"},
        ),
        rows="INSERT INTO t VALUES (1, 1)",
    ),
    History(
        name="a migration gives a column of a new check, and of a new index, another type",
        versions=(
            tables("CREATE TABLE t (id int PRIMARY KEY, a smallint, b int);"),
            tables(
                "CREATE TABLE t (id int PRIMARY KEY, a smallint CONSTRAINT k CHECK (a > -1), b int);"
                "CREATE INDEX i ON t (b) WHERE a > -1;",
                "ALTER TABLE t ALTER a TYPE numeric;",
            ),
        ),
        rows="INSERT INTO t VALUES (1, 2)",
        warnings=(MADE.format("t.a with type smallint", "makes it numeric", "numeric"),),
    ),
    History(
        name="a constraint that is declared NOT VALID was validated by hand",
        versions=tuple(
            tables(T + "ALTER TABLE t ADD CONSTRAINT k CHECK (a > 0) NOT VALID;" + more)
            for more in ("", "CREATE INDEX i ON t (a);")
        ),
        rows="ALTER TABLE t VALIDATE CONSTRAINT k",
        differs=True,
    ),
    History(
        name="a migration drops an index, a trigger, a policy and a comment",
        versions=(
            tables(T),
            tables(
                T + "CREATE INDEX i ON t (a); CREATE FUNCTION tr() RETURNS trigger LANGUAGE plpgsql AS"
                " 'BEGIN RETURN NEW; END'; CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION tr();"
                "CREATE POLICY p ON t USING (a > 0); COMMENT ON TABLE t IS 'it'; GRANT SELECT ON t TO pg_monitor;",
            ),
            tables(
                T + "CREATE INDEX i ON t (a); CREATE FUNCTION tr() RETURNS trigger LANGUAGE plpgsql AS"
                " 'BEGIN RETURN NEW; END'; CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION tr();"
                "CREATE POLICY p ON t USING (a > 0); COMMENT ON TABLE t IS 'it'; GRANT SELECT ON t TO pg_monitor;",
                "DROP INDEX i; DROP TRIGGER g ON t; DROP POLICY p ON t; COMMENT ON TABLE t IS NULL;"
                "REVOKE SELECT ON t FROM pg_monitor;",
            ),
        ),
        warnings=(
            "declares t.i as USING btree (a), t.g as CREATE TRIGGER",
            ", t.p as CREATE POLICY",
            "migrations/001.pssql drops or renames them; new databases get what is declared",
        ),
    ),
    History(
        name="a migration disables a trigger",
        versions=(
            tables(T + TR + GIVEN.format("INSERT")),
            tables(T + TR + GIVEN.format("INSERT"), "ALTER TABLE t DISABLE TRIGGER g;"),
        ),
        warnings=("EXECUTE FUNCTION tr() (enabled), migrations/001.pssql makes it CREATE TRIGGER g",),
    ),
    History(
        name="a check is replaced by a migration and declared otherwise later",
        versions=(
            tables(T + "ALTER TABLE t ADD CONSTRAINT c CHECK (a > 0);"),
            tables(
                T + "ALTER TABLE t ADD CONSTRAINT c CHECK (a > 0);",
                "ALTER TABLE t DROP CONSTRAINT c, ADD CONSTRAINT c CHECK (a > 1);",
            ),
            tables(
                T + "ALTER TABLE t ADD CONSTRAINT c CHECK (a > 2);",
                "ALTER TABLE t DROP CONSTRAINT c, ADD CONSTRAINT c CHECK (a > 1);",
            ),
        ),
        warnings=("declares t.c with constraint CHECK ((a > 2)), migrations/001.pssql makes it CHECK ((a > 1))",),
        differs=True,
    ),
    History(
        name="an index that is the replica identity, and by which the table is clustered, is made again",
        versions=tuple(
            tables(
                f"CREATE TABLE t (id int NOT NULL, a int); CREATE UNIQUE INDEX i ON t (id{order});"
                "ALTER TABLE t REPLICA IDENTITY USING INDEX i; ALTER TABLE t CLUSTER ON i;"
            )
            for order in ("", " DESC")
        ),
    ),
    History(
        name="an exclusion constraint over a function and a predicate",
        versions=(
            tables(T),
            tables(
                T + "ALTER TABLE t ADD CONSTRAINT e EXCLUDE USING btree (abs(a) WITH =, b WITH OPERATOR(pg_catalog.=))"
                " INCLUDE (id) WHERE ((a > 0) AND (b <> ')'));"
            ),
        ),
        rows="INSERT INTO t VALUES (1, 1, 'x'), (2, 2, 'x')",
    ),
    History(
        name="a migration sets statistics targets that nothing declares",
        versions=(
            tables(T + "CREATE STATISTICS s ON a, b FROM t; CREATE INDEX i ON t ((a + 1));"),
            tables(
                T + "CREATE STATISTICS s ON a, b FROM t; CREATE INDEX i ON t ((a + 1));",
                "ALTER STATISTICS s SET STATISTICS 90; ALTER INDEX i ALTER 1 SET STATISTICS 70;",
            ),
        ),
    ),
    History(
        name="migrations add constraints without a name, and then a primary key, that are declared",
        versions=(
            tables("CREATE TABLE t (id int, a int)"),
            tables(
                "CREATE TABLE t (id int PRIMARY KEY, a int UNIQUE CHECK (a > 0))",
                "ALTER TABLE t ADD UNIQUE (a), ADD CHECK (a > 0); -- ALTER TABLE t ADD PRIMARY KEY (id);",
            ),
        ),
        rows="INSERT INTO t VALUES (1, 1)",
        dangers=("t.id set_not_null 0 migrations/002.pssql",),
    ),
    History(
        name="a migration adds a unique constraint that PostgreSQL merges with the declared primary key",
        versions=(
            tables("CREATE TABLE t (id int PRIMARY KEY)"),
            tables("CREATE TABLE t (id int PRIMARY KEY, CONSTRAINT k UNIQUE (id))", "ALTER TABLE t ADD CONSTRAINT k UNIQUE (id);"),
        ),
        rows="INSERT INTO t VALUES (1)",
    ),
    History(
        name="a warning names the file that declares an index, not that of its table",
        versions=(
            tables(T, functions="CREATE INDEX i ON t (a);"),
            tables(T, "DROP INDEX i; CREATE INDEX i ON t (b);", functions="CREATE INDEX i ON t (a);"),
        ),
        warnings=("functions/x.pssql declares t.i with index USING btree (a), migrations/001.pssql makes it",),
    ),
    History(
        name="keys of a partition are declared, and a migration makes them parts of keys of its parent",
        versions=(
            tables(PARTED.format("")),
            tables(PARTED.format("(PRIMARY KEY (a), UNIQUE (b, a))"), "ALTER TABLE t ADD PRIMARY KEY (a), ADD UNIQUE (b, a);"),
        ),
        rows="INSERT INTO t VALUES (1, 1)",
        warnings=("declares t1.t1_b_a_key as UNIQUE (b, a), t1.t1_pkey as PRIMARY KEY (a), migrations/001.pssql drops",),
        dangers=("t.a set_not_null 0 migrations/001.pssql",),
    ),
)  # fmt: skip
