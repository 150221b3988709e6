"""Tables and columns that declarations and migrations change."""

from __future__ import annotations

from .history import MADE, VIEW, History, T, tables

GENERATED = (
    "CREATE TABLE t (a {0}, g bigint GENERATED ALWAYS AS (a * {1}) STORED CHECK (g >= 0), UNIQUE (g));"
    "CREATE INDEX t_g ON t (g, a); CREATE VIEW v AS SELECT g FROM t; COMMENT ON COLUMN t.g IS 'x';"
    "GRANT SELECT (g) ON t TO pg_monitor;"
)

PLAIN = "CREATE TABLE t (id int PRIMARY KEY, a int, b text, c int); CREATE SEQUENCE q; CREATE DOMAIN d AS text;"
ALTERED = (
    "ALTER TABLE t ALTER a SET DEFAULT 5, ALTER a SET NOT NULL, ALTER c TYPE bigint, ALTER b SET STORAGE EXTERNAL;"
    "ALTER TABLE t ENABLE ROW LEVEL SECURITY; ALTER TABLE t REPLICA IDENTITY FULL;"
    "ALTER SEQUENCE q INCREMENT 5; ALTER DOMAIN d SET DEFAULT 'x';"
)

LATER_DROPPED = "CREATE TABLE t (id int, a int DEFAULT 4, c int, CONSTRAINT k CHECK (a > 0)); CREATE TABLE x (id int);"
DROPPING = "ALTER TABLE t DROP CONSTRAINT k, ALTER a DROP DEFAULT, DROP c; DROP TABLE x;"
#: Refused until a table is there, whose name neither the statement nor the message has.
ASKING = "DO $$ BEGIN IF to_regclass('y' || '1') IS NULL THEN RAISE SQLSTATE '42P01'; END IF; END $$;"
CHILD = "CREATE TABLE p (a int); CREATE TABLE c (a int) INHERITS (p);"
OTHER = "CREATE TABLE other (id int);"
IN_SCHEMA = "CREATE TABLE s.t (id int PRIMARY KEY, a int, b text{});"
MOVING = "CREATE SCHEMA IF NOT EXISTS s; ALTER TABLE t SET SCHEMA s;"
BUILDING = (
    "ALTER TABLE t RENAME TO earlier; CREATE TABLE t (LIKE earlier INCLUDING ALL); INSERT INTO t SELECT * FROM earlier;"
    "DROP TABLE earlier CASCADE;"
)
EXCHANGING = "ALTER TABLE t RENAME a TO r; ALTER TABLE t RENAME b TO a; ALTER TABLE t RENAME r TO b;"

HISTORIES = (
    History(
        name="what was declared moves to a migration",
        versions=(tables(PLAIN + ALTERED), tables(PLAIN, ALTERED)),
        rows="INSERT INTO t VALUES (1, 1, 'y', 4000000000)",
        warnings=(
            "declares t.a without default, t.a with not null NULL, t.c with type integer, migrations/001.pssql makes t.a 5",
            MADE.format("q with sequence bigint INCREMENT 1", "makes it bigint INCREMENT 5", "bigint INCREMENT 5"),
            MADE.format("d without domain default", "makes it 'x'::text", "'x'::text"),
        ),
    ),
    History(
        name="what was declared moves to a migration, and a later declaration takes it back",
        versions=(tables(PLAIN + ALTERED), tables(PLAIN, ALTERED), tables(PLAIN + ALTERED, ALTERED)),
        rows="INSERT INTO t VALUES (1, 1, 'y', 4000000000)",
    ),
    History(
        name="a table moves to another schema and is altered there",
        versions=(
            tables(T),
            tables("CREATE SCHEMA s;" + IN_SCHEMA.format(""), MOVING),
            tables(
                "CREATE SCHEMA s;" + IN_SCHEMA.format(", c text NOT NULL"),
                MOVING + "--ALTER TABLE s.t ADD c text; UPDATE s.t SET c = 'x'; ALTER TABLE s.t ALTER c SET NOT NULL;",
            ),
        ),
        dangers=("s.t.c add_column 0 migrations/002.pssql",),
    ),
    History(
        name="a view uses the table where a migration has moved it, and the declaration follows later",
        versions=(
            tables(T),
            tables(T, MOVING + VIEW.replace("FROM t", "FROM s.t")),
            tables(
                "CREATE SCHEMA s;" + IN_SCHEMA.format("") + VIEW.replace("FROM t", "FROM s.t"),
                MOVING + VIEW.replace("FROM t", "FROM s.t"),
            ),
        ),
    ),
    History(
        name="a table is built again and renamed, and has the names of its indexes still",
        versions=(
            tables(f"{T} CREATE INDEX by_a ON t (a);"),
            tables(f"{T} CREATE INDEX t_a_idx ON t (a);", BUILDING),
            tables(
                f"{T} CREATE INDEX t_a_idx ON t (a);".replace(" t ", " u ") + "ALTER TABLE u CLUSTER ON t_a_idx;",
                BUILDING + "--ALTER TABLE t RENAME TO u; ALTER TABLE u CLUSTER ON t_a_idx;",
            ),
        ),
    ),
    History(
        name="a view is altered, and dropped with what it uses",
        versions=(
            tables(OTHER + T + VIEW),
            tables(OTHER, "ALTER VIEW v SET (security_barrier); DROP TABLE t CASCADE;"),
        ),
        dangers=("t drop_table 0 migrations/001.pssql",),
    ),
    History(
        name="a migration renames a table and a column, and what used them is declared no more",
        versions=(
            tables(
                T + "CREATE INDEX t_b ON t (b); ALTER TABLE t ADD CONSTRAINT k CHECK (b <> ''), ADD UNIQUE (b);"
                "CREATE STATISTICS s ON a, b FROM t; CREATE POLICY p ON t USING (b <> 'x'); COMMENT ON COLUMN t.b IS 'c';"
                "GRANT SELECT (b) ON t TO pg_monitor; GRANT INSERT ON t TO pg_monitor; COMMENT ON TABLE t IS 'd';"
                "CREATE RULE r AS ON UPDATE TO t WHERE new.b = 'r' DO NOTHING; CREATE VIEW v AS SELECT b FROM t;"
            ),
            tables(
                "CREATE TABLE u (id int, a int, c text, CONSTRAINT t_pkey PRIMARY KEY (id));",
                "ALTER TABLE t RENAME TO u; ALTER TABLE u RENAME b TO c;",
            ),
        ),
        rows="INSERT INTO t VALUES (1, 1, 'x')",
    ),
    History(
        name="a column grows under a generated one that views, indexes, checks and privileges use",
        versions=(tables(GENERATED.format("int", 2)), tables(GENERATED.format("bigint", 2))),
        rows="INSERT INTO t (a) VALUES (1), (2)",
    ),
    History(
        name="a generated column is computed otherwise",
        versions=(tables(GENERATED.format("int", 2)), tables(GENERATED.format("int", 3))),
        rows="INSERT INTO t (a) VALUES (1), (2)",
    ),
    History(
        name="a partitioned table is renamed and built anew",
        versions=(
            tables(
                "CREATE TABLE h (a int) PARTITION BY RANGE (a); CREATE TABLE h_default PARTITION OF h DEFAULT;",
            ),
            tables(
                "CREATE TABLE h (a int) PARTITION BY RANGE (a); CREATE TABLE h_default PARTITION OF h DEFAULT;",
                "ALTER TABLE h RENAME TO h_old; CREATE TABLE h (a int) PARTITION BY RANGE (a);"
                "INSERT INTO h_old VALUES (1); DROP TABLE h_old;",
            ),
        ),
        dangers=("h_default drop_table None migrations/001.pssql",),
    ),
    History(
        name="a default that a migration of long ago set is declared otherwise today",
        versions=(
            tables(T),
            tables(T, "ALTER TABLE t ALTER a SET DEFAULT 1;"),
            tables(T.replace("a int", "a int DEFAULT 2"), "ALTER TABLE t ALTER a SET DEFAULT 1;"),
        ),
        warnings=(MADE.format("t.a with default 2", "makes it 1", "1"),),
        differs=True,
    ),
    History(
        name="a declaration that lags behind a migration",
        versions=(
            tables(T),
            tables(T, "ALTER TABLE t ALTER a TYPE bigint, ALTER a SET NOT NULL, DROP b;"),
            tables(T + "CREATE TABLE u (a int);", "ALTER TABLE t ALTER a TYPE bigint, ALTER a SET NOT NULL, DROP b;"),
        ),
        warnings=(
            "t.a with type integer, t.a with not null NULL, migrations/001.pssql makes t.a bigint, t.a NOT NULL;",
            MADE.format("t.b as text", "drops or renames it", "none"),
        ),
    ),
    History(
        name="a column that was dropped by a migration is declared again",
        versions=(
            tables(T),
            tables(T.replace(", b text", ""), "ALTER TABLE t DROP b;"),
            tables(T, "ALTER TABLE t DROP b;"),
        ),
        warnings=(MADE.format("t.b as text", "drops or renames it", "none"),),
        differs=True,
    ),
    History(
        name="a migration drops, narrows, fills and requires, without force",
        versions=(
            tables(T),
            tables(
                "CREATE TABLE t (id int PRIMARY KEY, a smallint NOT NULL);",
                "UPDATE t SET a = 0 WHERE a IS NULL; ALTER TABLE t ALTER a TYPE smallint, ALTER a SET NOT NULL, DROP b;",
            ),
        ),
        rows="INSERT INTO t VALUES (1, 1, 'x'), (2, NULL, NULL)",
        dangers=(
            "t.a alter_column_type 0 migrations/001.pssql",
            "t.a set_not_null 1 migrations/001.pssql",
            "t.b drop_column 1 migrations/001.pssql",
        ),
    ),
    History(
        name="a migration adds what the declaration says nothing of",
        versions=(
            tables(T),
            tables(T, "ALTER TABLE t ADD COLUMN c int DEFAULT 1, ADD CHECK (c > 0); CREATE INDEX t_c ON t (c);"),
            tables(
                T + "CREATE TABLE u (a int);",
                "ALTER TABLE t ADD COLUMN c int DEFAULT 1, ADD CHECK (c > 0); CREATE INDEX t_c ON t (c);",
            ),
        ),
    ),
    History(
        name="a migration renames a table and a column under a check, whose declaration has another type and the old name",
        versions=(
            tables("CREATE TABLE t (a int, b text CHECK (b <> ''));"),
            tables(
                "CREATE TABLE u (a bigint, b text CHECK (b <> ''), n date);",
                "ALTER TABLE t RENAME b TO d; ALTER TABLE t RENAME TO u;",
            ),
        ),
        warnings=("tables/t.pssql declares u.b as text, migrations/001.pssql drops or renames it", "u.u_b_check"),
    ),
    History(
        name="two columns exchange their names, and a later migration replaces one of them",
        versions=(
            tables("CREATE TABLE t (a text NOT NULL, b real);"),
            tables("CREATE TABLE t (b text NOT NULL, a real);", EXCHANGING),
            tables("CREATE TABLE t (a real, b int);", f"{EXCHANGING}--ALTER TABLE t DROP b; ALTER TABLE t ADD b int;"),
        ),
        rows="INSERT INTO t VALUES ('x', 1)",
        dangers=("t.b alter_column_type 1 migrations/002.pssql",),
    ),
    History(
        name="a migration renames a table and a column",
        versions=(
            tables("CREATE TABLE old (id int PRIMARY KEY, a int); CREATE INDEX i ON old (a);"),
            tables(
                "CREATE TABLE new (id int CONSTRAINT old_pkey PRIMARY KEY, z int); CREATE INDEX i ON new (z);",
                "ALTER TABLE old RENAME TO new; ALTER TABLE new RENAME a TO z;",
            ),
        ),
        rows="INSERT INTO old VALUES (1, 1)",
    ),
    History(
        name="one file gains everything that a new table in it needs",
        versions=(
            tables(T),
            tables(
                "CREATE EXTENSION IF NOT EXISTS vector; CREATE SCHEMA app; CREATE SEQUENCE ids START 7;"
                "CREATE TYPE mood AS ENUM ('ok'); CREATE DOMAIN name AS text CHECK (VALUE <> '');"
                "CREATE TYPE pair AS (x int, y mood);" + T + "CREATE TABLE u (id int DEFAULT nextval('ids') PRIMARY KEY,"
                " t int REFERENCES t, m mood DEFAULT 'ok', n name NOT NULL, p pair[], e vector(3), s serial,"
                " i int GENERATED ALWAYS AS IDENTITY, g int GENERATED ALWAYS AS (1 + 1) STORED, UNIQUE (n, m),"
                " CHECK (s > 0)) WITH (fillfactor = 70); CREATE INDEX u_n ON u (lower(n)); INSERT INTO u (n) VALUES ('n');"
                "COMMENT ON COLUMN u.n IS 'its name'; GRANT SELECT ON u TO pg_monitor; CREATE VIEW w AS SELECT m FROM u;"
                "SET search_path = app; CREATE TABLE in_app (a int, m public.mood);"
                "ALTER TABLE in_app ENABLE ROW LEVEL SECURITY; CREATE UNLOGGED TABLE c () INHERITS (public.t);"
                "CREATE TABLE p (a int, b int) PARTITION BY LIST (a); CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1)"
                " PARTITION BY RANGE (b); CREATE TABLE p2 PARTITION OF p1 DEFAULT;",
            ),
        ),
        rows="INSERT INTO t VALUES (1, 1, '1')",
    ),
    History(
        name="tables that are made otherwise than by CREATE TABLE",
        versions=(
            tables(T),
            tables(
                T + "DO $$ BEGIN CREATE TABLE d (a int); CREATE INDEX d_a ON d (a); END $$; SELECT 1 AS x INTO s;"
                "CREATE TABLE p (a int NOT NULL) PARTITION BY LIST (a); CREATE TABLE p1 (a int NOT NULL);"
                "ALTER TABLE ONLY p ATTACH PARTITION p1 FOR VALUES IN (1);",
            ),
        ),
    ),
    History(
        name="a serial column as pg_dump writes it, of a sequence that had no owner",
        versions=(
            tables("CREATE SEQUENCE s AS integer; CREATE TABLE t (id int NOT NULL, a int DEFAULT nextval('s'));"),
            tables(
                "CREATE TABLE t (id int NOT NULL, a int); CREATE SEQUENCE s AS integer; ALTER SEQUENCE s OWNED BY t.a;"
                "ALTER TABLE ONLY t ALTER COLUMN a SET DEFAULT nextval('s'::regclass);",
            ),
        ),
        rows="INSERT INTO t (id) VALUES (1)",
    ),
    History(
        name="a migration makes what nothing declares, and drops it again",
        versions=(
            tables(T, "CREATE TABLE log (a int); CREATE VIEW l AS TABLE log; CREATE INDEX t_a ON t (a);"),
            tables(
                T, "CREATE TABLE log (a int); CREATE VIEW l AS TABLE log; CREATE INDEX t_a ON t (a);"
                "-- DROP VIEW l; DROP TABLE log; DROP INDEX t_a;"
            ),
        ),
        rows="INSERT INTO log VALUES (1)",
        dangers=("log drop_table 1 migrations/002.pssql",),
    ),
    History(
        name="a migration drops a column and all that used it, which is declared still",
        versions=(
            tables(T + VIEW + "CREATE INDEX t_b ON t (b); ALTER TABLE t ADD CHECK (b <> '');"),
            tables(
                T + VIEW + "CREATE INDEX t_b ON t (b); ALTER TABLE t ADD CHECK (b <> '');",
                "DROP VIEW v; ALTER TABLE t DROP COLUMN b;",
            ),
        ),
        warnings=("declares t.b as text, t.t_b_check as CHECK", "drops or renames them; new databases get none"),
        dangers=("t.b drop_column 0 migrations/001.pssql",),
    ),
    History(
        name="a partition is detached, and declared as a table",
        versions=(
            tables("CREATE TABLE p (a int) PARTITION BY LIST (a); CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1);"),
            tables(
                "CREATE TABLE p (a int) PARTITION BY LIST (a); CREATE TABLE p1 (a int);",
                "ALTER TABLE p DETACH PARTITION p1;",
            ),
        ),
        dangers=("p1 alter_inheritance None migrations/001.pssql", "p1 alter_partitioning None migrations/001.pssql"),
    ),
    History(
        name="a child leaves its parent, and is declared without it",
        versions=(
            tables("CREATE TABLE p (a int); CREATE TABLE c (b int) INHERITS (p);"),
            tables("CREATE TABLE p (a int); CREATE TABLE c (a int, b int);", "ALTER TABLE c NO INHERIT p;"),
        ),
        dangers=("c alter_inheritance None migrations/001.pssql",),
    ),
    History(
        name="a child with columns of its own leaves its parent, whose child it is declared to be",
        versions=(tables(CHILD), tables(CHILD, "ALTER TABLE c NO INHERIT p;")),
        warnings=("declares c with inheritance p, migrations/001.pssql drops", "column a of c, declared by the child"),
        dangers=("c alter_inheritance None migrations/001.pssql",),
    ),
    History(
        name="a migration gives the index of a key other storage parameters than declared",
        versions=(
            tables("CREATE TABLE t (a int, CONSTRAINT k UNIQUE (a) WITH (fillfactor = 60));"),
            tables(
                "CREATE TABLE t (a int, CONSTRAINT k UNIQUE (a) WITH (fillfactor = 60));",
                "ALTER INDEX k SET (fillfactor = 50);",
            ),
        ),
        warnings=("storage parameters fillfactor=60 of the index of the constraint k",),
    ),
    History(
        name="an earlier migration has dropped what is declared, and a later one is refused without a new table",
        versions=(
            tables(LATER_DROPPED),
            tables(LATER_DROPPED, DROPPING),
            tables(LATER_DROPPED + "CREATE TABLE y1 (id int);", f"{DROPPING} -- {ASKING}"),
        ),
        rows="INSERT INTO t VALUES (1, 1)",
        warnings=(
            "declares t.a with default 4, t.c as integer, t.k as CHECK ((a > 0)), migrations/001.pssql drops",
            "declares x as table, migrations/001.pssql drops",
        ),
    ),
)  # fmt: skip
