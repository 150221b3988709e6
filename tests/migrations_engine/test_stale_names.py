"""Functions in PL/pgSQL that name what a deploy removes: PostgreSQL says nothing until they run, so the deploy does."""

from __future__ import annotations

import pytest

T = "CREATE TABLE t (id int PRIMARY KEY, a int); CREATE TABLE u (id int);"
RENAMED = {
    "tables/t.pssql": "CREATE TABLE t (id int PRIMARY KEY, b int); CREATE TABLE w (id int);",
    "migrations/001.pssql": "ALTER TABLE t RENAME a TO b; ALTER TABLE u RENAME TO w;",
}


def function(body: str) -> dict[str, str]:
    text = f"CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$ DECLARE x int; BEGIN {body} END $$;"
    return {"functions/f.pssql": text}


@pytest.mark.parametrize(
    ("body", "names"),
    [
        ("PERFORM a FROM t;", "t.a"),
        ("UPDATE public.t SET a = 1;", "t.a"),
        ("INSERT INTO t (id, a) VALUES (1, 2);", "t.a"),
        ('DELETE FROM "u" WHERE id = 1;', "u"),
        ("SELECT s.id INTO x FROM t AS s JOIN u USING (id);", "u"),
        ("PERFORM id FROM t;", None),
        ("-- FROM u\n RAISE NOTICE 'FROM u, t.a';", None),
        ("WITH u AS (SELECT 1 AS id) SELECT id INTO x FROM u;", None),
        ("CREATE TEMP TABLE IF NOT EXISTS u (id int); PERFORM id FROM u;", None),
        ("SELECT 1 INTO x; PERFORM id FROM w;", None),
        ("DECLARE a int; BEGIN a := 1; PERFORM id FROM t WHERE id > a; END;", None),
        ("PERFORM id AS a FROM t;", None),
        ("DECLARE a int; BEGIN SELECT t.a INTO a FROM t; END;", "t.a"),
    ],
)
def test_a_function_that_names_what_is_gone_is_named_in_a_warning(tenant, body: str, names: str | None):
    tenant.register({"tables/t.pssql": T} | function(body))
    report = tenant.migrate(RENAMED | function(body))
    expected = [
        f"functions/f.pssql names {names}, which is no longer there; PostgreSQL checks PL/pgSQL only when it runs"
    ]
    assert [text for text in report.warnings if "PL/pgSQL" in text] == (expected if names else [])
    again = tenant.migrate(RENAMED | function(body) | {"seeders/none.pssql": ""})
    assert not any("PL/pgSQL" in text for text in again.warnings)


@pytest.mark.parametrize("head", ["(a int) RETURNS void", "(OUT a int)", "() RETURNS TABLE (a int)"])
def test_a_parameter_is_no_column(tenant, head: str):
    body = "PERFORM id FROM t WHERE a IS NULL;"
    files = {"functions/f.pssql": f"CREATE FUNCTION f{head} LANGUAGE plpgsql AS $$ BEGIN {body} END $$;"}
    tenant.register({"tables/t.pssql": T} | files)
    assert not any("PL/pgSQL" in text for text in tenant.migrate(RENAMED | files).warnings)


ENUM = "CREATE TYPE e AS ENUM ('{}', 'b'); CREATE TABLE t (id int, s e, z text); CREATE TABLE u (id int, z text);"
RENAMED_VALUE = {
    "rename": "ALTER TYPE e RENAME VALUE 'a' TO 'x';",
    "new type": "ALTER TYPE e RENAME TO old; CREATE TYPE e AS ENUM ('x', 'b');"
    "ALTER TABLE t ALTER s TYPE e USING replace(s::text, 'a', 'x')::e; DROP TYPE old;",
}


@pytest.mark.parametrize("migration", RENAMED_VALUE)
@pytest.mark.parametrize(
    ("head", "body", "is_stale"),
    [
        ("void", "UPDATE t SET s = 'a';", True),
        ("void", "PERFORM id FROM t WHERE t.s IN ('b', 'a');", True),
        ("e", "RETURN 'a';", True),
        ("void", "RAISE NOTICE '%', 'a'::e;", True),
        ("trigger", "IF NEW.s = 'a' THEN RETURN NULL; END IF; RETURN NEW;", True),
        ("void", "PERFORM id FROM t WHERE s = 'b';", False),
        ("void", "UPDATE u SET z = 'a';", False),
        ("void", "UPDATE t SET z = 'a';", False),
        ("void", "-- 'a'\n PERFORM s FROM t;", False),
    ],
)
def test_a_function_that_has_a_value_that_is_gone_is_named(
    tenant, migration: str, head: str, body: str, is_stale: bool
):
    function = {"functions/f.pssql": f"CREATE FUNCTION f() RETURNS {head} LANGUAGE plpgsql AS $$ BEGIN {body} END $$;"}
    tenant.register({"tables/t.pssql": ENUM.format("a")} | function)
    last = {"tables/t.pssql": ENUM.format("x"), "migrations/001.pssql": RENAMED_VALUE[migration]} | function
    expected = [
        "functions/f.pssql has 'a', which is no longer a value of e; PostgreSQL checks PL/pgSQL only when it runs"
    ]
    assert [text for text in tenant.migrate(last).warnings if "PL/pgSQL" in text] == (expected if is_stale else [])
    again = tenant.migrate(last | {"seeders/none.pssql": ""})
    assert not any("PL/pgSQL" in text for text in again.warnings)
