"""Schemas and what becomes of them: pairs of versions between which a deploy must be able to go."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Evolution:
    """A schema's earlier and later files; a database made of the one and migrated equals one made of the other."""

    name: str
    before: dict[str, str]
    after: dict[str, str]
    rows: str = ""  #: what the application wrote in between
    force: bool = False  #: the migration of ``after`` destroys something
    same: dict[str, str] = field(default_factory=dict)  #: files of both versions


def table(text: str, **others: str) -> dict[str, str]:
    return {"tables/t.pssql": text} | others


USERS = "CREATE TABLE users (id serial PRIMARY KEY, name varchar(50) NOT NULL);"
TOUCH = (
    "CREATE OR REPLACE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS"
    " $$ BEGIN NEW.touched := {}; RETURN NEW; END $$;"
)

EVOLUTIONS = (
    Evolution(
        name="columns are added, widened, given and taken defaults, and allowed to be null",
        before=table("CREATE TABLE t (a int, b varchar(5), c numeric(5, 2), d int DEFAULT 1, e text NOT NULL, f date)"),
        after=table(
            "CREATE TABLE t (a bigint, b varchar(10), c numeric(7, 2), d int, e text, f date DEFAULT CURRENT_DATE,"
            " g text NOT NULL DEFAULT 'x', h timestamptz DEFAULT now(), i uuid DEFAULT gen_random_uuid())"
        ),
        rows="INSERT INTO t (a, b, e) VALUES (1, 'b', 'e')",
    ),
    Evolution(
        name="a serial key becomes wider",
        before={"tables/users.pssql": USERS},
        after={"tables/users.pssql": USERS.replace("serial", "bigserial")},
        rows="INSERT INTO users (name) VALUES ('a')",
    ),
    Evolution(
        name="constraints are added and relaxed",
        before=table("CREATE TABLE t (a int PRIMARY KEY, b int UNIQUE, c int, CONSTRAINT old CHECK (c > 5))"),
        after=table(
            "CREATE TABLE t (a int PRIMARY KEY, b int, c int UNIQUE, CONSTRAINT new CHECK (c > 0),"
            " EXCLUDE USING btree (b WITH =), FOREIGN KEY (b) REFERENCES t)"
        ),
        rows="INSERT INTO t VALUES (1, 1, 7)",
    ),
    Evolution(
        name="indexes, statistics, comments and options change",
        before=table("CREATE TABLE t (a int, b text); CREATE INDEX one ON t (a); COMMENT ON TABLE t IS 'old';"),
        after=table(
            "CREATE TABLE t (a int, b text) WITH (fillfactor = 70); CREATE INDEX one ON t (a DESC) WHERE b <> '';"
            "CREATE UNIQUE INDEX two ON t (lower(b)) INCLUDE (a); CREATE STATISTICS s ON a, b FROM t;"
            "COMMENT ON TABLE t IS 'new'; COMMENT ON COLUMN t.b IS 'it''s b'; COMMENT ON INDEX two IS 'two';"
        ),
    ),
    Evolution(
        name="views change with the column they show",
        before=table(
            "CREATE TABLE t (a int, b text); CREATE VIEW v AS SELECT a FROM t;"
            "CREATE VIEW w AS SELECT a + 1 AS a FROM v;"
            "CREATE MATERIALIZED VIEW m AS SELECT a FROM w; CREATE UNIQUE INDEX m_a ON m (a);"
        ),
        after=table(
            "CREATE TABLE t (a bigint, b text); CREATE VIEW v AS SELECT a, b FROM t;"
            "CREATE VIEW w AS SELECT a + 2 AS a FROM v;"
            "CREATE MATERIALIZED VIEW m AS SELECT a FROM w; CREATE UNIQUE INDEX m_a ON m (a);"
            "COMMENT ON VIEW v IS 'all';"
        ),
        rows="INSERT INTO t VALUES (1, 'b')",
    ),
    Evolution(
        name="policies, rules and triggers change",
        same={"functions/touch.pssql": TOUCH.format("now()")},
        before=table(
            "CREATE TABLE t (owner text, touched timestamptz); CREATE VIEW v AS SELECT * FROM t;"
            "CREATE TRIGGER touch BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION touch();"
            "CREATE RULE r AS ON INSERT TO v DO INSTEAD NOTHING;"
        ),
        after=table(
            "CREATE TABLE t (owner text, touched timestamptz); CREATE VIEW v AS SELECT * FROM t;"
            "CREATE TRIGGER touch BEFORE INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION touch();"
            "CREATE RULE r AS ON INSERT TO v DO INSTEAD INSERT INTO t VALUES (NEW.owner);"
            "ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON t USING (owner = current_user);"
        ),
    ),
    Evolution(
        name="a partitioned table grows",
        before=table(
            "CREATE TABLE t (a int, at date NOT NULL) PARTITION BY RANGE (at);"
            "CREATE TABLE t1 PARTITION OF t FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');"
        ),
        after=table(
            "CREATE TABLE t (a int, at date NOT NULL, b text) PARTITION BY RANGE (at);"
            "CREATE TABLE t1 PARTITION OF t FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');"
            "CREATE TABLE t2 PARTITION OF t FOR VALUES FROM ('2021-01-01') TO ('2022-01-01');"
            "CREATE INDEX t_a ON t (a);"
        ),
        rows="INSERT INTO t VALUES (1, '2020-05-05')",
    ),
    Evolution(
        name="an inherited table grows",
        before=table("CREATE TABLE p (a int); CREATE TABLE c (b int) INHERITS (p);"),
        after=table("CREATE TABLE p (a bigint, x text DEFAULT 'x'); CREATE TABLE c (b int) INHERITS (p);"),
        rows="INSERT INTO c VALUES (1, 2)",
    ),
    Evolution(
        name="identity, generated, quoted and qualified names",
        before=table(
            'CREATE SCHEMA app; CREATE TABLE app."Order" ("Id" int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,'
            ' "from" text);'
        ),
        after=table(
            'CREATE SCHEMA app; CREATE TABLE app."Order" ("Id" bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,'
            ' "from" text, "Upper" text GENERATED ALWAYS AS (upper("from")) STORED);'
            'CREATE TABLE app.lines (o int REFERENCES app."Order", n int, PRIMARY KEY (o, n));'
        ),
        rows='INSERT INTO app."Order" ("from") VALUES (\'a\')',
    ),
    Evolution(
        name="types arrive and enums grow",
        before={"types/mood.pssql": "CREATE TYPE mood AS ENUM ('ok')"} | table("CREATE TABLE t (a int, m mood)"),
        after={
            "types/mood.pssql": "CREATE TYPE mood AS ENUM ('bad', 'ok', 'good')",
            "types/email.pssql": "CREATE DOMAIN email AS text CHECK (VALUE LIKE '%@%')",
            "types/place.pssql": "CREATE TYPE place AS (x int, y int)",
            "types/span.pssql": "CREATE TYPE span AS RANGE (SUBTYPE = float8)",
        }
        | table("CREATE TABLE t (a int, m mood DEFAULT 'good', e email, p place[], s span)"),
        rows="INSERT INTO t VALUES (1, 'ok')",
    ),
    Evolution(
        name="functions change in every way",
        same=table("CREATE TABLE t (a int); CREATE VIEW v AS SELECT kept() AS k;"),
        before={
            "functions/a.pssql": "CREATE FUNCTION a(x int) RETURNS int LANGUAGE sql AS 'SELECT 1'",
            "functions/b.pssql": "CREATE FUNCTION b(x int DEFAULT 1) RETURNS int LANGUAGE sql AS 'SELECT 1'",
            "functions/gone.pssql": "CREATE FUNCTION gone() RETURNS int LANGUAGE sql AS 'SELECT 1'",
            "functions/kept.pssql": "CREATE FUNCTION kept() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        },
        after={
            "functions/a.pssql": "CREATE FUNCTION a(y int) RETURNS bigint LANGUAGE sql AS 'SELECT 1::bigint'",
            "functions/b.pssql": "CREATE FUNCTION b(x int, y int) RETURNS SETOF t LANGUAGE sql AS 'SELECT * FROM t'",
            "functions/kept.pssql": "CREATE FUNCTION kept() RETURNS int LANGUAGE sql AS 'SELECT 2'",
            "functions/p.pssql": "CREATE PROCEDURE p(INOUT x int) LANGUAGE plpgsql AS $$ BEGIN x := 1; END $$",
        },
    ),
    Evolution(
        name="a migration renames",
        before=table("CREATE TABLE t (old text); CREATE INDEX t_old ON t (old);"),
        after=table(
            "CREATE TABLE t (new text); CREATE INDEX t_new ON t (new);",
            **{"migrations/001.pssql": "ALTER TABLE t RENAME old TO new; ALTER INDEX t_old RENAME TO t_new;"},
        ),
        rows="INSERT INTO t VALUES ('kept')",
        force=True,
    ),
    Evolution(
        name="migrations alone make and alter",
        before={"migrations/001.pssql": "CREATE TABLE t (a int); INSERT INTO t VALUES (1);"},
        after={
            "migrations/001.pssql": "CREATE TABLE t (a int); INSERT INTO t VALUES (1);",
            "migrations/002.pssql": "ALTER TABLE t ADD COLUMN b text NOT NULL DEFAULT 'b'; DROP TABLE IF EXISTS u;",
            "migrations/003.pssql": "CREATE TABLE u (t int); CREATE VIEW v AS SELECT * FROM t;",
        },
    ),
    Evolution(
        name="a migration refines what is declared",
        before=table("CREATE TABLE t (a int)"),
        after=table(
            "CREATE TABLE t (a int, b text)",
            **{
                "migrations/001.pssql": "ALTER TABLE t ADD COLUMN b text; UPDATE t SET b = a::text;"
                "ALTER TABLE t ALTER COLUMN b SET NOT NULL; CREATE INDEX t_b ON t (b);"
            },
        ),
        rows="INSERT INTO t VALUES (1)",
    ),
    Evolution(
        name="an index is made outside a transaction",
        before=table("CREATE TABLE t (a int)"),
        after=table(
            "CREATE TABLE t (a int)",
            **{
                "migrations/001.pssql": "-- gateway: no-transaction\nCREATE INDEX CONCURRENTLY t_a ON t (a);",
                "migrations/002.pssql": "ALTER TABLE t ADD COLUMN b int;",
            },
        ),
    ),
    Evolution(
        name="an extension arrives with its columns",
        before=table("CREATE TABLE t (a int)"),
        after={"extensions/pgvector.sql": "-- schema: ext"} | table("CREATE TABLE t (a int, e vector(3))"),
        rows="INSERT INTO t VALUES (1)",
    ),
)
