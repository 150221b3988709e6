"""Enum types with added and renamed values, and domains with changing checks, defaults and NOT NULL."""

from __future__ import annotations

from dataclasses import dataclass, replace

from hypothesis import strategies as st

from .history import Edit, Kind

USES = (
    "",
    "ALTER TABLE t ADD CONSTRAINT k CHECK (m <> '{0}');",
    "CREATE INDEX i ON t (m) WHERE m = '{0}';",
    "CREATE VIEW v AS SELECT id, m FROM t WHERE m < '{0}';",
    "ALTER TABLE t ALTER m SET DEFAULT '{0}';",
    "CREATE POLICY p ON t USING (m = '{0}');",
)


@dataclass(frozen=True)
class Enum:
    """A type ``mood``, a column of it, and an object that uses one of its values."""

    labels: tuple[str, ...] = ("sad", "happy")
    use: int = 0
    used: int = 0
    function: int = 0

    def files(self) -> dict[str, str]:
        label = self.labels[min(self.used, len(self.labels) - 1)]
        functions = (
            "CREATE FUNCTION f(x mood) RETURNS mood LANGUAGE sql AS $$ SELECT x $$;",
            f"CREATE FUNCTION f(x mood DEFAULT '{label}') RETURNS mood LANGUAGE sql BEGIN ATOMIC SELECT x; END;",
            f"CREATE FUNCTION f(x mood) RETURNS boolean LANGUAGE sql AS $$ SELECT x = '{label}' $$;",
        )
        return {
            "types/mood.pssql": f"CREATE TYPE mood AS ENUM {self.labels};",
            "tables/t.pssql": f"CREATE TABLE t (id int PRIMARY KEY, m mood, n mood[]);{USES[self.use].format(label)}",
            "functions/f.pssql": functions[self.function],
        }

    def edit(self, draw: st.DrawFn) -> Edit:
        what = draw(st.sampled_from(["add", "add", "rename", "use", "function"]))
        if what == "add" and len(self.labels) < 6:
            new = f"m{len(self.labels)}"
            place = draw(st.integers(0, len(self.labels)))
            labels = (*self.labels[:place], new, *self.labels[place:])
            at = f"BEFORE '{self.labels[place]}'" if place < len(self.labels) else ""
            sql = f"ALTER TYPE mood ADD VALUE IF NOT EXISTS '{new}' {at};"
            only = draw(st.sampled_from(["declaration", "both"]))
            return Edit(replace(self, labels=labels, used=draw(st.integers(0, 6))), sql, only=only)
        if what == "rename":
            number = draw(st.integers(0, len(self.labels) - 1))
            old = self.labels[number]
            labels = (*self.labels[:number], old + "_", *self.labels[number + 1 :])
            return Edit(replace(self, labels=labels), f"ALTER TYPE mood RENAME VALUE '{old}' TO '{old}_';", only="both")
        if what == "function":
            return Edit(replace(self, function=draw(st.integers(0, 2))), "DROP FUNCTION IF EXISTS f(mood);")
        change = replace(self, use=draw(st.integers(0, len(USES) - 1)), used=draw(st.integers(0, 6)))
        return Edit(change, "DROP VIEW IF EXISTS v; DROP INDEX IF EXISTS i; ALTER TABLE t DROP CONSTRAINT IF EXISTS k;")


CHECKS = ("", "CHECK (VALUE > -1)", "CONSTRAINT c CHECK (VALUE > -2)", "CONSTRAINT c CHECK (VALUE > -3)", "NOT NULL")
DEFAULTS = ("", "DEFAULT 1", "DEFAULT 2")


@dataclass(frozen=True)
class Domain:
    """A domain ``score`` with a column of it, another one that uses it, and a function."""

    check: int = 0
    default: int = 0
    array: bool = False
    composite: int = 0

    def files(self) -> dict[str, str]:
        table = f"CREATE TABLE t (id int PRIMARY KEY, s score, r {'score[]' if self.array else 'pair'});"
        more = "" if self.composite == 0 else ", w text" if self.composite == 1 else ", w text, z int"
        return {
            "types/score.pssql": f"CREATE DOMAIN score AS int {DEFAULTS[self.default]} {CHECKS[self.check]};",
            "types/better.pssql": "CREATE DOMAIN better AS score CHECK (VALUE > 0);",
            "types/pair.pssql": f"CREATE TYPE pair AS (x int, y text{more});",
            "tables/t.pssql": f"{table} CREATE VIEW v AS SELECT s, s::better AS b FROM t;",
            "functions/f.pssql": "CREATE FUNCTION f(s score, p pair) RETURNS better LANGUAGE sql AS $$ SELECT s $$;",
        }

    def edit(self, draw: st.DrawFn) -> Edit:
        what = draw(st.sampled_from(["check", "check", "default", "composite", "rename", "validate"]))
        if what == "default":
            new = draw(st.integers(0, 2))
            made = draw(st.sampled_from([DEFAULTS[new], "DEFAULT 3", ""]))
            return Edit(replace(self, default=new), f"ALTER DOMAIN score {f'SET {made}' if made else 'DROP DEFAULT'};")
        if what == "composite":
            return Edit(
                replace(self, composite=min(self.composite + 1, 2)),
                "ALTER TYPE pair ADD ATTRIBUTE w text;",
                only="both" if self.composite == 0 else "declaration",
            )
        new = draw(st.integers(0, len(CHECKS) - 1))
        made = draw(st.sampled_from([CHECKS[new], CHECKS[2], ""]))
        sql = (
            "ALTER DOMAIN score DROP CONSTRAINT IF EXISTS c; ALTER DOMAIN score DROP CONSTRAINT IF EXISTS score_check;"
        )
        if what == "validate":
            sql += "ALTER DOMAIN score ADD CONSTRAINT c CHECK (VALUE > -2) NOT VALID;"
            sql += "ALTER DOMAIN score VALIDATE CONSTRAINT c;"
        elif "CHECK" in made:
            sql += f"ALTER DOMAIN score ADD {made};"
        elif made:
            sql = "ALTER DOMAIN score SET NOT NULL;"
        return Edit(replace(self, check=new), sql)


KINDS = (
    Kind("enum types", Enum(), "INSERT INTO t VALUES (1, 'sad', '{happy}'), (2, NULL, NULL)"),
    Kind("domains and composite types", Domain(), "INSERT INTO t VALUES (1, 1, ROW (1, 'x')), (2, 2, NULL)"),
)
