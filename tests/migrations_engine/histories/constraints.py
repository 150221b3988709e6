"""Foreign keys, exclusion constraints, checks and keys: deferrable, not valid, validated later."""

from __future__ import annotations

from .features import Feature, Table
from .history import Kind

ROWS = "INSERT INTO o VALUES (1), (2); INSERT INTO t (id, a, b) VALUES (1, 1, 1), (2, 2, 2)"
VALIDATED = (
    "DO $$ BEGIN IF EXISTS (SELECT FROM pg_constraint WHERE conname = '{0}')"
    " THEN ALTER TABLE t VALIDATE CONSTRAINT {0}; END IF; END $$;"
)
FOREIGN_KEY = "ALTER TABLE t ADD CONSTRAINT o FOREIGN KEY ({}) REFERENCES o (id){};"
CHECK = "ALTER TABLE t ADD CONSTRAINT k CHECK ({}){};"
EXCLUSION = "ALTER TABLE t ADD CONSTRAINT e EXCLUDE USING btree ({} WITH =){};"

CONSTRAINTS = Table(
    retypes=False,
    features=(
        Feature("referenced table", ("CREATE TABLE o (id smallint PRIMARY KEY);",), drop=""),
        Feature(
            "foreign key",
            (
                "",
                FOREIGN_KEY.format("{a}", ""),
                FOREIGN_KEY.format("{a}", " DEFERRABLE INITIALLY DEFERRED"),
                FOREIGN_KEY.format("{a}", " NOT VALID"),
                FOREIGN_KEY.format("{a}", " ON DELETE SET NULL DEFERRABLE"),
                FOREIGN_KEY.format("b", " ON UPDATE CASCADE"),
            ),
            drop="ALTER TABLE t DROP CONSTRAINT IF EXISTS o;",
            alters=(VALIDATED.format("o"),),
        ),
        Feature(
            "check",
            (
                "",
                CHECK.format("{a} > -1", ""),
                CHECK.format("{a} > -2", " NOT VALID"),
                CHECK.format("b IS NOT NULL", " NO INHERIT"),
                CHECK.format("{a} > -1", "") + "COMMENT ON CONSTRAINT k ON t IS 'x';",
            ),
            drop="ALTER TABLE t DROP CONSTRAINT IF EXISTS k;",
            alters=(VALIDATED.format("k"),),
        ),
        Feature(
            "exclusion constraint",
            (
                "",
                EXCLUSION.format("{a}", ""),
                EXCLUSION.format("{a}", " WHERE (b > 0)"),
                EXCLUSION.format("b", " DEFERRABLE INITIALLY DEFERRED"),
                EXCLUSION.format("(b + 1)", ""),
            ),
            drop="ALTER TABLE t DROP CONSTRAINT IF EXISTS e;",
        ),
        Feature(
            "key",
            (
                "",
                "ALTER TABLE t ADD CONSTRAINT u UNIQUE ({a});",
                "ALTER TABLE t ADD CONSTRAINT u UNIQUE NULLS NOT DISTINCT ({a}, b) DEFERRABLE;",
                "CREATE UNIQUE INDEX u ON t (b, {a});",
                "CREATE UNIQUE INDEX u ON t (b); ALTER TABLE t ADD CONSTRAINT u UNIQUE USING INDEX u;",
            ),
            drop="ALTER TABLE t DROP CONSTRAINT IF EXISTS u; DROP INDEX IF EXISTS u;",
        ),
        Feature(
            "not null",
            ("", "ALTER TABLE t ALTER b SET NOT NULL;"),
            drop="ALTER TABLE t ALTER b DROP NOT NULL;",
        ),
    ),
)

KINDS = (Kind("constraints", CONSTRAINTS, ROWS),)
