"""Enums, domains and composite types that change."""

from __future__ import annotations

from .history import History, tables

HISTORIES = (
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
        dangers=("t.a alter_column_type 0 migrations/001.pssql",),
    ),
    History(
        name="a new table in the same file, and one in another file, have the row type of a table whose column changes",
        versions=(
            {"tables/p.pssql": "CREATE TABLE p (id int PRIMARY KEY, a int);"},
            {
                "tables/p.pssql": "CREATE TABLE p (id int PRIMARY KEY, a bigint); CREATE TABLE n (x p[]);",
                "tables/q.pssql": "CREATE TABLE q (x p DEFAULT ROW(1, 5000000000)::p);",
            },
        ),
        rows="INSERT INTO p VALUES (1, 2)",
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
        name="a declaration changes one attribute and adds another, and a migration renames a third one",
        versions=(
            {"types/c.pssql": "CREATE TYPE c AS (a bigint, b text);"},
            {
                "types/c.pssql": "CREATE TYPE c AS (a int, b text, n date);",
                "migrations/001.pssql": "ALTER TYPE c RENAME ATTRIBUTE b TO d;",
            },
        ),
        warnings=("migrations/001.pssql makes it composite (a integer, d text, n date); new databases get composite",),
    ),
    History(
        name="a declaration changes an attribute of a type that a migration renames together with another attribute",
        versions=(
            {
                "types/c.pssql": "CREATE TYPE c AS (a bigint, b text);",
                "tables/t.pssql": "CREATE TYPE e AS (x c); CREATE VIEW v AS SELECT NULL::c AS c;",
            },
            {
                "types/c.pssql": "CREATE TYPE k AS (a int, b text, n date);",
                "tables/t.pssql": "CREATE TYPE e AS (x k); CREATE VIEW v AS SELECT NULL::k AS c;",
                "migrations/001.pssql": "ALTER TYPE c RENAME ATTRIBUTE b TO d; ALTER TYPE c RENAME TO k;",
            },
        ),
        warnings=("migrations/001.pssql makes it composite (a integer, d text, n date); new databases get composite",),
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
        warnings=("declares d.d_check1 without domain constraint",),
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
        warnings=("new enum values were committed before the rest",),
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
        warnings=("types/x.pssql declares mood",),
    ),
)  # fmt: skip
