"""Histories after which an old database must equal a new one of the same schema."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from tests.support.servers import require_vector
from tests.support.structure import structure_of

from .conftest import Tenant, files


@dataclass(frozen=True, kw_only=True)
class History:
    """Versions of a schema, and what the application wrote between the first and the second."""

    name: str
    versions: tuple[dict[str, str], ...]
    rows: str = ""
    told: tuple[str, ...] = ()  #: warnings of the last deploy, a part of each
    listed: tuple[str, ...] = ()  #: dataloss changes of the last deploy, with the rows and the file
    differs: bool = False  #: the last deploy names what differs from a new database
    force: bool = field(default=False)


def tables(text: str, migrations: str = "", **more: str) -> dict[str, str]:
    """A schema with one file of tables, and migrations divided by ``--``."""
    return files(text, *(part for part in migrations.split("--") if part.strip()), **more)


T = "CREATE TABLE t (id int PRIMARY KEY, a int, b text);"
VIEW = "CREATE VIEW v AS SELECT a, b FROM t;"
TR = "CREATE OR REPLACE FUNCTION tr() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';"
GIVEN = "CREATE TRIGGER g BEFORE {} ON t FOR EACH ROW EXECUTE FUNCTION tr();"
MADE = "tables/t.pssql declares {}, migrations/001.pssql {}; new databases get {}"

GENERATED = (
    "CREATE TABLE t (a {0}, g bigint GENERATED ALWAYS AS (a * {1}) STORED CHECK (g >= 0), UNIQUE (g));"
    "CREATE INDEX t_g ON t (g, a); CREATE VIEW v AS SELECT g FROM t; COMMENT ON COLUMN t.g IS 'x';"
    "GRANT SELECT (g) ON t TO pg_monitor;"
)

UNNAMED = (
    "ALTER TABLE t ADD CHECK (a > 0 AND b <> ''), ADD UNIQUE (b);",
    "CREATE INDEX ON t (a); ALTER TABLE t ADD FOREIGN KEY (a) REFERENCES t; ALTER TABLE t ADD UNIQUE (a, b);",
    "ALTER TABLE t ADD CHECK (a > 0 AND b <> 'x'); ALTER TABLE t ADD EXCLUDE (b WITH =);",
)

ONE = "CREATE FUNCTION f(x int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT x';"
TWO = "CREATE FUNCTION f(x int, y int DEFAULT 0) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT x + y';"
CALLING = (
    "CREATE FUNCTION atomic() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT f(1) + {0}; END;"
    "CREATE FUNCTION plain() RETURNS int LANGUAGE sql AS 'SELECT f(1) + {0}';"
)
CALLERS = (
    "ALTER TABLE t ADD CHECK (f(a) > 0); CREATE INDEX i ON t (f(a));"
    "CREATE TRIGGER g BEFORE UPDATE ON t FOR EACH ROW WHEN (f(NEW.a) > 5) EXECUTE FUNCTION tr();"
)

HISTORIES = (
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
        name="what is new uses functions whose results change",
        versions=(
            {
                "tables/1.pssql": T,
                "functions/f.pssql": "CREATE FUNCTION f() RETURNS TABLE (n int) LANGUAGE sql AS 'SELECT 1';"
                "CREATE FUNCTION g(i int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT i';",
            },
            {
                "tables/1.pssql": T + "CREATE POLICY p ON t USING (g(a)); CREATE INDEX ON t (a) WHERE g(a);"
                "CREATE VIEW v AS SELECT * FROM f() AS f (x, y);",
                "functions/f.pssql": "CREATE FUNCTION f() RETURNS TABLE (n int, m text) LANGUAGE sql AS $$ SELECT 1, 'x' $$;"
                "CREATE FUNCTION g(i int) RETURNS boolean IMMUTABLE LANGUAGE sql AS 'SELECT i > 0';",
                "functions/h.pssql": "CREATE FUNCTION h() RETURNS SETOF v LANGUAGE sql AS 'SELECT * FROM v';",
            },
        ),
        rows="INSERT INTO t VALUES (1, 1, 'y')",
    ),
    History(
        name="a view changes in casts and parentheses alone",
        versions=(
            tables(T + "CREATE VIEW v AS SELECT (a + id) * 2 AS n, (a + 1)::bigint AS m FROM t;"),
            tables(T + "CREATE VIEW v AS SELECT a + id * 2 AS n, (a + 1)::numeric AS m FROM t;"),
        ),
    ),
    History(
        name="a migration drops views, a policy and a trigger only to make a column wider",
        versions=tuple(
            tables(
                f"CREATE TABLE t (id int PRIMARY KEY, a {type}, b text);" + VIEW + "CREATE VIEW w AS SELECT a FROM v;"
                "CREATE POLICY p ON t USING (a > 0);" + TR + GIVEN.format("UPDATE OF a"),
                *migrations,
            )
            for type, migrations in (
                ("int", ()),
                (
                    "bigint",
                    ("DROP VIEW v CASCADE; DROP POLICY p ON t; DROP TRIGGER g ON t; ALTER TABLE t ALTER a TYPE bigint;",),
                ),
            )
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
        told=("tables/t.pssql declares t.t_a_idx as USING btree (a), migrations/002.pssql drops or renames it",),
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
        name="a column becomes wider under a view, and another one needs a function that is new",
        versions=(
            tables(T + VIEW + "CREATE TABLE u (t int REFERENCES t);"),
            tables(
                "CREATE TABLE t (id int PRIMARY KEY, a bigint, b text, g text GENERATED ALWAYS AS (f(b)) STORED);"
                + VIEW + "CREATE TABLE u (t int REFERENCES t); CREATE INDEX t_g ON t (g);",
                functions="CREATE FUNCTION f(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT lower($1)';",
            ),
        ),
        rows="INSERT INTO t VALUES (1, 1, 'A')",
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
        told=(MADE.format("t.a with type smallint", "makes it numeric", "numeric"),),
    ),
    History(
        name="a migration renames a new column to the name of a new type, and moves a table that another one needs",
        versions=(
            tables("CREATE TABLE t (id int PRIMARY KEY, a int); CREATE TABLE m (id int);"),
            {
                "types/a.pssql": "CREATE TYPE a AS ENUM ('x');",
                "tables/t.pssql": "CREATE TABLE t (id int PRIMARY KEY, a a, b int); CREATE SCHEMA s;"
                "CREATE TABLE s.m (id int);",
                "migrations/001.pssql": "ALTER TABLE t ADD COLUMN n a; ALTER TABLE t DROP COLUMN a;"
                "ALTER TABLE t RENAME COLUMN n TO a; UPDATE t SET b = 1;",
                "migrations/002.pssql": "CREATE SCHEMA IF NOT EXISTS s; ALTER TABLE m SET SCHEMA s;",
            },
        ),
        rows="INSERT INTO m VALUES (1)",
        listed=("t.a alter_column_type 0 migrations/001.pssql",),
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
        name="a composite type grows that columns, views and functions use",
        versions=tuple(
            {
                "types/c.pssql": f"CREATE TYPE c AS ({attributes});",
                "tables/t.pssql": "CREATE TABLE t (id int PRIMARY KEY, x c, y c[]); CREATE VIEW v AS SELECT (x).a, x FROM t;",
                "functions/f.pssql": "CREATE FUNCTION f(p c) RETURNS SETOF c LANGUAGE sql AS $$ SELECT (x).* FROM t WHERE x = p $$;",
            }
            for attributes in ("a int", "a int, b text")
        ),
        rows="INSERT INTO t VALUES (1, '(1)', '{(1)}')",
    ),
    History(
        name="an attribute changes its type, and another one goes, of a composite type that only functions use",
        versions=tuple(
            {
                "types/c.pssql": f"CREATE TYPE c AS ({attributes});",
                "functions/f.pssql": f"CREATE FUNCTION f() RETURNS c LANGUAGE sql AS $$ SELECT {row} $$;",
            }
            for attributes, row in (("a int, b text", "1, 'x'::text"), ("a bigint", "1::bigint"))
        ),
    ),
    History(
        name="a domain gets a default, another check and NOT NULL, and loses a check",
        versions=tuple(
            {"types/d.pssql": f"CREATE DOMAIN d AS int {rules};", "tables/t.pssql": "CREATE TABLE t (id int PRIMARY KEY, a d);"}
            for rules in (
                "CONSTRAINT x CHECK (VALUE > 0) CONSTRAINT y CHECK (VALUE < 99)",
                "DEFAULT 5 NOT NULL CONSTRAINT x CHECK (VALUE > 1)",
            )
        ),
        rows="INSERT INTO t VALUES (1, 2), (2, 3)",
    ),
    History(
        name="a migration adds the check without a name that a domain declares",
        versions=(
            tables("CREATE TABLE t (a d);", types="CREATE DOMAIN d AS int;"),
            tables(
                "CREATE TABLE t (a d);",
                "ALTER DOMAIN d ADD CHECK (VALUE > 0);",
                types="CREATE DOMAIN d AS int CHECK (VALUE > 0);",
            ),
        ),
        rows="INSERT INTO t VALUES (1)",
        told=("declares d.d_check1 without domain constraint",),
    ),
    History(
        name="a domain declares a check twice, and then once",
        versions=tuple(
            tables("CREATE TABLE t (a d);", types=f"CREATE DOMAIN d AS int {check * times};")
            for check in ("CHECK (VALUE > 0)",)
            for times in (1, 2, 1)
        ),
    ),
    History(
        name="a function that the check of a domain uses changes its signature",
        versions=tuple(
            {
                "types/d.pssql": "CREATE DOMAIN d AS int CONSTRAINT x CHECK (good(VALUE));",
                "tables/t.pssql": "CREATE TABLE t (id int PRIMARY KEY, a d);",
                "functions/good.pssql": f"CREATE FUNCTION good({name} int) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT $1 > 0';",
            }
            for name in ("p_a", "p_b")
        ),
        rows="INSERT INTO t VALUES (1, 2)",
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
        name="a migration drops a view to make room for another one of its columns",
        versions=(tables(T + VIEW), tables(T + "CREATE VIEW v AS SELECT b, a, id FROM t;", "DROP VIEW v;")),
        told=(MADE.format("v as view", "drops or renames it", "what is declared"),),
    ),
    History(
        name="a parameter with a default is added, and other functions, a view, a check, an index and a trigger call it",
        versions=(
            tables(T + CALLERS, functions=ONE + TR + CALLING.format(0)),
            tables(T + CALLERS + "CREATE VIEW v AS SELECT f(a) AS b FROM t;", functions=TWO + TR + CALLING.format(1)),
        ),
        rows="INSERT INTO t VALUES (1, 1)",
    ),
    History(
        name="a parameter with a default is added, and a migration calls the function and another new one",
        versions=(
            tables(T, functions=ONE),
            tables(
                T,
                "UPDATE t SET a = n(); UPDATE t SET a = f(a);",
                functions=TWO + "CREATE FUNCTION n() RETURNS int LANGUAGE sql AS 'SELECT 5';",
            ),
        ),
        rows="INSERT INTO t VALUES (1, 1)",
    ),
    History(
        name="a migration makes a materialized view with other columns, and an index on them",
        versions=(
            tables(T),
            tables(
                T + "CREATE MATERIALIZED VIEW m AS SELECT id, a FROM t; CREATE INDEX m_a ON m (a);",
                "DROP MATERIALIZED VIEW IF EXISTS m; CREATE MATERIALIZED VIEW m AS SELECT count(*) AS n FROM t;"
                "CREATE INDEX m_n ON m (n);",
            ),
        ),
        told=(MADE.format("m.m_a as USING btree (a)", "drops or renames it", "what is declared"),),
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
        told=(
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
        told=("EXECUTE FUNCTION tr() (enabled), migrations/001.pssql makes it CREATE TRIGGER g",),
    ),
    History(
        name="a migration changes the type of a column under views, a policy and a function",
        versions=tuple(
            {
                "tables/t.pssql": f"CREATE TABLE t (id int PRIMARY KEY, a {kind}); CREATE VIEW v AS SELECT a FROM t;"
                "CREATE VIEW w AS TABLE v; CREATE POLICY p ON t USING (a > 0); GRANT SELECT ON w TO pg_monitor;",
                "functions/f.pssql": f"CREATE FUNCTION f() RETURNS SETOF {kind} LANGUAGE sql BEGIN ATOMIC SELECT a FROM v; END;",
            }
            | more
            for kind, more in (
                ("int", {}),
                ("numeric(9,2)", {"migrations/001.pssql": "ALTER TABLE t ALTER a TYPE numeric(9,2) USING a * 2;"}),
            )
        ),
        rows="INSERT INTO t VALUES (1, 1)",
        listed=("t.a alter_column_type 0 migrations/001.pssql",),
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
        listed=("h_default drop_table None migrations/001.pssql",),
    ),
    History(
        name="a default that a migration of long ago set is declared otherwise today",
        versions=(
            tables(T),
            tables(T, "ALTER TABLE t ALTER a SET DEFAULT 1;"),
            tables(T.replace("a int", "a int DEFAULT 2"), "ALTER TABLE t ALTER a SET DEFAULT 1;"),
        ),
        told=(MADE.format("t.a with default 2", "makes it 1", "1"),),
        differs=True,
    ),
    History(
        name="a declaration that lags behind a migration",
        versions=(
            tables(T),
            tables(T, "ALTER TABLE t ALTER a TYPE bigint, ALTER a SET NOT NULL, DROP b;"),
            tables(T + "CREATE TABLE u (a int);", "ALTER TABLE t ALTER a TYPE bigint, ALTER a SET NOT NULL, DROP b;"),
        ),
        told=(
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
        told=(MADE.format("t.b as text", "drops or renames it", "none"),),
        differs=True,
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
        told=("declares t.c with constraint CHECK ((a > 2)), migrations/001.pssql makes it CHECK ((a > 1))",),
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
        listed=(
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
        name="a column of a new enum with a check, a unique index and an exclusion constraint at once",
        versions=(
            tables("CREATE TABLE t (id int PRIMARY KEY);"),
            tables(
                "CREATE TABLE t (id int PRIMARY KEY, d d NOT NULL DEFAULT 'x' CHECK (d <> 'y'), e int,"
                " EXCLUDE USING btree (id WITH =) WHERE (d = 'x')); CREATE UNIQUE INDEX u ON t (id) WHERE d = 'x';",
                types="CREATE TYPE d AS ENUM ('x', 'y');",
            ),
        ),
        rows="INSERT INTO t VALUES (1)",
    ),
    History(
        name="a new enum value in a check, a default and a unique index",
        versions=(
            tables("CREATE TABLE t (d d CHECK (d IN ('x')));", types="CREATE TYPE d AS ENUM ('x');"),
            tables(
                "CREATE TABLE t (d d DEFAULT 'y' CHECK (d IN ('x', 'y'))); CREATE UNIQUE INDEX u ON t (d) WHERE d = 'y';",
                types="CREATE TYPE d AS ENUM ('x', 'y');",
            ),
        ),
        rows="INSERT INTO t VALUES ('x')",
        told=("new enum values were committed before the rest",),
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
        listed=("log drop_table 1 migrations/002.pssql",),
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
        told=("declares t.b as text, t.t_b_check as CHECK", "drops or renames them; new databases get none"),
        listed=("t.b drop_column 0 migrations/001.pssql",),
    ),
    History(
        name="a view becomes a table, another one a materialized view, and a table becomes a view",
        versions=(
            tables(T + VIEW + "CREATE VIEW m AS SELECT a FROM v; CREATE TABLE s (a int);"),
            tables(
                T + "CREATE TABLE v (a int); CREATE MATERIALIZED VIEW m AS SELECT a FROM v; CREATE VIEW s AS SELECT a FROM t;",
                "DROP VIEW m; DROP VIEW v; DROP TABLE s;",
            ),
        ),
        listed=("s drop_table 0 migrations/001.pssql",),
    ),
    History(
        name="the default of a view's column, text search, casts and privileges change",
        versions=(
            tables(T + VIEW + "CREATE TYPE c AS (x int); CREATE TEXT SEARCH CONFIGURATION s (COPY = simple);"),
            tables(
                T + VIEW + "ALTER VIEW v ALTER COLUMN a SET DEFAULT 5; CREATE TYPE c AS (x int); REVOKE USAGE ON TYPE c FROM PUBLIC;"
                "CREATE TEXT SEARCH CONFIGURATION s (COPY = simple); ALTER TEXT SEARCH CONFIGURATION s DROP MAPPING FOR email;"
                "CREATE CAST (varchar AS c) WITH INOUT AS ASSIGNMENT;"
            ),
        ),
    ),
    History(
        name="a view becomes a materialized view by its declaration alone",
        versions=(tables(T + VIEW), tables(T + VIEW.replace("VIEW", "MATERIALIZED VIEW") + "CREATE INDEX v_a ON v (a);")),
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
        listed=("p1 alter_inheritance None migrations/001.pssql", "p1 alter_partitioning None migrations/001.pssql"),
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
        name="a migration renames a type that is declared by its new name",
        versions=(
            tables("CREATE TABLE t (m mood);", types="CREATE TYPE mood AS ENUM ('a');"),
            tables("CREATE TABLE t (m feeling);", "ALTER TYPE mood RENAME TO feeling;",
                   types="CREATE TYPE feeling AS ENUM ('a');"),
        ),
        rows="INSERT INTO t VALUES ('a')",
    ),
    History(
        name="a migration adds an enum value that is not declared, and another one is declared later",
        versions=(
            tables("CREATE TABLE t (m mood);", types="CREATE TYPE mood AS ENUM ('a');"),
            tables("CREATE TABLE t (m mood);", "ALTER TYPE mood ADD VALUE 'b';", types="CREATE TYPE mood AS ENUM ('a');"),
            tables(
                "CREATE TABLE t (m mood);", "ALTER TYPE mood ADD VALUE 'b';",
                types="CREATE TYPE mood AS ENUM ('0', 'a');",
            ),
        ),
        told=("types/x.pssql declares mood",),
    ),
    *(
        History(name=f"functions/ makes {what}", versions=tuple({f"{table}/1.sql": T, "functions/f.sql": TR + text}
                                                               | more for text in texts))
        for table, more in (("tables", {}), ("migrations", {}), ("tables", {"migrations/2.sql": "SELECT 1"}))
        for what, texts in {
            f"a trigger ({table}{more and ', a migration'})": (GIVEN.format("INSERT"), GIVEN.format("UPDATE OF a")),
            f"a trigger no more ({table}{more and ', a migration'})": (GIVEN.format("INSERT"), ""),
            f"a replaced trigger ({table}{more and ', a migration'})":
                ("DROP TRIGGER IF EXISTS g ON t;" + GIVEN.format("INSERT"), "CREATE OR REPLACE" + GIVEN.format("DELETE")[6:]),
        }.items()
    ),
    History(
        name="functions/ makes triggers in blocks, where they are missing",
        versions=tuple(
            {"tables/t.sql": T, "functions/f.sql": TR + "DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_trigger WHERE tgname = 'g')"
             f" THEN {GIVEN.format(event)} END IF; END $$;"} for event in ("INSERT", "DELETE")
        ),
    ),
    History(
        name="functions/ makes a view, its privileges and its comment over one of its functions, and changes both",
        versions=tuple(
            {"tables/t.sql": T, "functions/f.sql": f"CREATE FUNCTION g(i int) RETURNS {result} LANGUAGE sql AS"
             f" 'SELECT i::{result}'; CREATE VIEW v AS SELECT {columns} FROM t; COMMENT ON VIEW v IS '{columns}';"
             " GRANT SELECT ON v TO pg_monitor;"}
            for result, columns in (("int", "g(a)"), ("bigint", "b, g(a)"), ("text", "id"))
        ),
    ),
    History(
        name="functions/ makes a type, a function over it, and a cast with that",
        versions=tuple(
            {"functions/f.sql": "CREATE TYPE c AS (a int); CREATE FUNCTION f(c) RETURNS int LANGUAGE sql AS"
             f" 'SELECT ($1).a'; CREATE CAST (c AS int) WITH FUNCTION f(c) {way};"} for way in ("", "AS IMPLICIT")
        ),
    ),
)  # fmt: skip


@pytest.mark.parametrize("history", HISTORIES, ids=lambda history: history.name)
def test_an_old_database_is_what_a_new_one_is(tenant: Tenant, make_database: Callable[[], str], history: History):
    require_vector(tenant.conninfo, repr(history.versions))
    first, *later = history.versions
    tenant.register(first)
    if history.rows:
        tenant.execute(history.rows)
    for version in later:
        report = tenant.migrate(version, force=history.force)
    last = history.versions[-1]
    fresh = Tenant(make_database())
    new = fresh.register(last)
    for part in history.told:
        assert any(part in warning for warning in report.warnings), report.warnings
    assert bool(report.warnings) == bool(history.told), report.warnings
    dangers = (*report.schema_validation.dataloss_changes, *report.schema_validation.incompatible_changes)
    listed = [
        f"{c.table}{'.' + c.column if c.column else ''} {c.change_type} {c.rows_at_risk} {c.file}" for c in dangers
    ]
    assert tuple(sorted(listed)) == history.listed
    if history.differs:
        assert report.differences
    else:
        assert _structure(tenant) == _structure(fresh)
        assert report.differences == ()
    assert new.differences == ()
    for again in (tenant, fresh):
        assert again.migrate(last).schema_validation.is_empty
        unrelated = again.migrate(last | {"seeders/none.pssql": ""})
        assert unrelated.schema_validation.is_empty


def _structure(tenant: Tenant) -> list[str]:
    """The structure less the names of NOT NULL constraints, which PostgreSQL 18 prints and nothing refers to."""
    return [re.sub(r"CONSTRAINT \w+_not_null NOT NULL", "NOT NULL", line) for line in structure_of(tenant.conninfo)]
