"""Triggers, rules, views, materialized views, statistics and the functions that such objects use."""

from __future__ import annotations

from .features import Feature, Table
from .history import Kind

ROWS = "INSERT INTO t (id, a, b) VALUES (1, 1, 1), (2, 2, 2)"

TOUCH = "CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;"
OTHER = "CREATE FUNCTION other() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;"
DISABLED = (
    "DO $$ BEGIN IF EXISTS (SELECT FROM pg_trigger WHERE tgname = 'g')"
    " THEN ALTER TABLE t DISABLE TRIGGER g; END IF; END $$;"
)

TRIGGERS = Table(
    files_of_functions=(("functions/touch.pssql", TOUCH), ("functions/other.pssql", OTHER)),
    features=(
        Feature(
            "trigger",
            (
                "",
                "CREATE TRIGGER g BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION touch();",
                "CREATE TRIGGER g AFTER UPDATE OF {a} ON t FOR EACH ROW WHEN (NEW.{a} > 1) EXECUTE FUNCTION touch();",
                "CREATE TRIGGER g AFTER INSERT ON t REFERENCING NEW TABLE AS n EXECUTE FUNCTION other();",
                "CREATE CONSTRAINT TRIGGER g AFTER INSERT ON t DEFERRABLE FOR EACH ROW EXECUTE FUNCTION other();",
                "CREATE TRIGGER g BEFORE DELETE ON t FOR EACH ROW EXECUTE FUNCTION touch('x');"
                " ALTER TABLE t DISABLE TRIGGER g; COMMENT ON TRIGGER g ON t IS 'x';",
            ),
            drop="DROP TRIGGER IF EXISTS g ON t;",
            alters=(DISABLED,),
        ),
        Feature(
            "trigger of a view",
            (
                "CREATE VIEW v AS SELECT id, {a} FROM t;",
                "CREATE VIEW v AS SELECT {a}, id FROM t;"
                " CREATE TRIGGER i INSTEAD OF INSERT ON v FOR EACH ROW EXECUTE FUNCTION other();",
                "CREATE VIEW v AS SELECT id, {a} FROM t;"
                " CREATE TRIGGER i INSTEAD OF UPDATE ON v FOR EACH ROW EXECUTE FUNCTION other();",
            ),
            drop="DROP VIEW IF EXISTS v;",
            alters=("DROP TRIGGER IF EXISTS i ON v;",),
        ),
        Feature("event", ("", "ALTER TABLE t REPLICA IDENTITY FULL;"), drop="ALTER TABLE t REPLICA IDENTITY DEFAULT;"),
    ),
)

VIEWS = Table(
    features=(
        Feature(
            "view",
            (
                "CREATE VIEW v AS SELECT id, {a}, b FROM t;",
                "CREATE VIEW v AS SELECT {a}, id FROM t;",
                "CREATE VIEW v WITH (security_barrier) AS SELECT id, {a}, b FROM t WHERE b > 0;",
                "CREATE VIEW v (id, {a}, n) AS SELECT id, {a}, {a} * 2 FROM t WHERE id > 0 WITH CHECK OPTION;",
            ),
            drop="DROP VIEW IF EXISTS v CASCADE;",
        ),
        Feature(
            "view of a view",
            ("", "CREATE VIEW w AS SELECT id, {a} FROM v;", "CREATE VIEW w AS SELECT {a} FROM v;"),
            drop="DROP VIEW IF EXISTS w;",
        ),
        Feature(
            "materialized view",
            (
                "",
                "CREATE MATERIALIZED VIEW m AS SELECT id, {a} FROM t; CREATE UNIQUE INDEX m_id ON m (id);",
                "CREATE MATERIALIZED VIEW m AS SELECT id, {a} FROM t; CREATE INDEX m_a ON m ({a}) WHERE id > 0;",
                "CREATE MATERIALIZED VIEW m AS SELECT {a}, count(*) AS n FROM v GROUP BY 1 WITH NO DATA;"
                " CREATE INDEX ON m (n); COMMENT ON MATERIALIZED VIEW m IS 'x'; GRANT SELECT ON m TO PUBLIC;",
            ),
            drop="DROP MATERIALIZED VIEW IF EXISTS m;",
            alters=("DROP INDEX IF EXISTS m_id;", "CREATE INDEX IF NOT EXISTS t_by_b ON t (b);"),
        ),
        Feature(
            "rule",
            (
                "",
                "CREATE RULE r AS ON UPDATE TO t WHERE NEW.{a} < 0 DO INSTEAD NOTHING;",
                "CREATE RULE r AS ON DELETE TO t DO ALSO SELECT OLD.{a};",
                "CREATE RULE r AS ON UPDATE TO t WHERE NEW.{a} < 1 DO INSTEAD NOTHING;"
                " ALTER TABLE t DISABLE RULE r; COMMENT ON RULE r ON t IS 'x';",
            ),
            drop="DROP RULE IF EXISTS r ON t;",
        ),
    )
)

STATISTICS = Table(
    features=(
        Feature(
            "statistics",
            (
                "",
                "CREATE STATISTICS s ON {a}, b FROM t;",
                "CREATE STATISTICS s (ndistinct) ON b, {a} FROM t;",
                "CREATE STATISTICS s ON (b + 1), {a} FROM t; COMMENT ON STATISTICS s IS 'x';",
                "CREATE STATISTICS s ON {a}, b FROM t; ALTER STATISTICS s SET STATISTICS 50;",
            ),
            drop="DROP STATISTICS IF EXISTS s;",
        ),
        Feature(
            "column",
            ("", "ALTER TABLE t ALTER {a} SET STATISTICS 50;", "ALTER TABLE t ALTER note SET STORAGE EXTERNAL;"),
            drop="ALTER TABLE t ALTER note SET STORAGE EXTENDED;",
        ),
        Feature(
            "index",
            (
                "",
                "CREATE INDEX i ON t ((b + 1));",
                "CREATE INDEX i ON t ((b + 1)); ALTER INDEX i ALTER 1 SET STATISTICS 70;",
                "CREATE UNIQUE INDEX i ON t ({a}, id) INCLUDE (b) WHERE {a} > 0;",
                "CREATE INDEX i ON t ({a} DESC) WITH (fillfactor = 70); ALTER TABLE t CLUSTER ON i;",
            ),
            drop="DROP INDEX IF EXISTS i;",
        ),
        Feature("option", ("", "ALTER TABLE t SET (fillfactor = 80);"), drop="ALTER TABLE t RESET (fillfactor);"),
    )
)

BODY = "CREATE FUNCTION f({}) RETURNS {} LANGUAGE sql IMMUTABLE AS $$ SELECT {} $$;"
FUNCTIONS = Table(
    features=(
        Feature(
            "f",
            (
                BODY.format("x numeric", "numeric", "x"),
                BODY.format("x numeric", "numeric", "x + 1"),
                BODY.format("x numeric", "bigint", "x::bigint"),
                BODY.format("y numeric", "numeric", "y"),
                BODY.format("x numeric, y int DEFAULT 0", "numeric", "x + y"),
            ),
            drop="",
            folder="functions",
        ),
        Feature(
            "view",
            ("", "CREATE VIEW v AS SELECT f({a}) AS n FROM t;", "CREATE VIEW v AS SELECT id, f({a}) + 1 AS n FROM t;"),
            drop="DROP VIEW IF EXISTS v;",
        ),
        Feature(
            "policy",
            ("", "CREATE POLICY p ON t USING (f({a}) > 0);", "CREATE POLICY p ON t USING (f(b) > 0);"),
            drop="DROP POLICY IF EXISTS p ON t;",
        ),
        Feature(
            "check",
            (
                "",
                "ALTER TABLE t ADD CONSTRAINT k CHECK (f({a}) > -9);",
                "ALTER TABLE t ADD CONSTRAINT k CHECK (f(b) > -9);",
            ),
            drop="ALTER TABLE t DROP CONSTRAINT IF EXISTS k;",
        ),
        Feature(
            "generated column",
            (
                "",
                "ALTER TABLE t ADD g numeric GENERATED ALWAYS AS (f({a})) STORED;",
                "ALTER TABLE t ADD g numeric GENERATED ALWAYS AS (f({a}) * 2) STORED;",
            ),
            drop="ALTER TABLE t DROP COLUMN IF EXISTS g;",
        ),
        Feature(
            "index",
            ("", "CREATE INDEX i ON t (f({a}));", "CREATE INDEX i ON t (b) WHERE f(b) > 0;"),
            drop="DROP INDEX IF EXISTS i;",
        ),
        Feature(
            "function of it",
            (
                "CREATE FUNCTION h() RETURNS numeric LANGUAGE sql AS $$ SELECT f(1)::numeric $$;",
                "CREATE FUNCTION h() RETURNS numeric BEGIN ATOMIC SELECT f(1)::numeric; END;",
                "CREATE FUNCTION h() RETURNS SETOF t LANGUAGE sql AS $$ SELECT * FROM t WHERE f({a}) > 0 $$;",
            ),
            drop="DROP FUNCTION IF EXISTS h();",
            folder="functions",
        ),
    )
)

KINDS = (
    Kind("triggers", TRIGGERS, ROWS),
    Kind("views and rules", VIEWS, ROWS),
    Kind("statistics and indexes", STATISTICS, ROWS),
    Kind("functions with changing signatures", FUNCTIONS, ROWS),
)
