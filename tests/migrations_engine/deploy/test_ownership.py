"""Objects of another role: the refusal names the object, its owner and the command that mends it, which then works."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from migrations_engine import EngineError
from tests.migrations_engine.conftest import Tenant

_COMMAND = re.compile(r"ALTER [A-Z ]+ [^;]+? OWNER TO \w+")


@dataclass(frozen=True, kw_only=True)
class Case:
    before: str
    command: str  #: that the error names
    after: str
    folder: str = "tables"


T = "CREATE TABLE t (a int);"
F = "CREATE FUNCTION f(a int) RETURNS int LANGUAGE sql AS 'SELECT {}';"
CASES = {
    "function": Case(before=F.format(1), command="FUNCTION public.f(integer)", after=F.format(2), folder="functions"),
    "procedure": Case(
        before="CREATE PROCEDURE p() LANGUAGE sql AS 'SELECT 1'",
        command="PROCEDURE public.p()",
        after="CREATE PROCEDURE p() LANGUAGE sql AS 'SELECT 2'",
        folder="functions",
    ),
    "aggregate": Case(
        before="CREATE AGGREGATE total(int) (SFUNC = int4pl, STYPE = int)",
        command="AGGREGATE public.total(integer)",
        after="CREATE AGGREGATE total(int) (SFUNC = int4pl, STYPE = int, INITCOND = '0')",
        folder="functions",
    ),
    "view": Case(
        before="CREATE VIEW v AS SELECT 1 AS a", command="VIEW public.v", after="CREATE VIEW v AS SELECT 2 AS a"
    ),
    "column of a table": Case(before=T, command="TABLE public.t", after="CREATE TABLE t (a int, b int)"),
    "index": Case(before=T, command="TABLE public.t", after=T + "CREATE INDEX i ON t (a)"),
    "trigger": Case(
        before=T,
        command="TABLE public.t",
        after=T + "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';"
        " CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f()",
    ),
    "policy": Case(before=T, command="TABLE public.t", after=T + "CREATE POLICY p ON t USING (true)"),
    "comment": Case(before=T, command="TABLE public.t", after=T + "COMMENT ON TABLE t IS 'x'"),
    "referenced table": Case(
        before="CREATE TABLE t (a int PRIMARY KEY);",
        command="TABLE public.t",
        after="CREATE TABLE t (a int PRIMARY KEY); CREATE TABLE u (t int REFERENCES t)",
    ),
    "sequence": Case(before="CREATE SEQUENCE s", command="SEQUENCE public.s", after="CREATE SEQUENCE s INCREMENT 2"),
    "enum": Case(
        before="CREATE TYPE \"Mood\" AS ENUM ('a')",
        command='TYPE public."Mood"',
        after="CREATE TYPE \"Mood\" AS ENUM ('a', 'b')",
        folder="types",
    ),
    "domain": Case(
        before="CREATE DOMAIN d AS int",
        command="TYPE public.d",
        after="CREATE DOMAIN d AS int DEFAULT 1",
        folder="types",
    ),
    "composite type": Case(
        before="CREATE TYPE c AS (a int)",
        command="TYPE public.c",
        after="CREATE TYPE c AS (a int, b int)",
        folder="types",
    ),
    "schema": Case(
        before="CREATE SCHEMA app", command="SCHEMA app", after="CREATE SCHEMA app; CREATE TABLE app.t (a int)"
    ),
    "collation": Case(
        before="CREATE COLLATION c (provider = libc, locale = 'C');",
        command="COLLATION public.c",
        after="CREATE COLLATION c (provider = libc, locale = 'C'); COMMENT ON COLLATION c IS 'x'",
    ),
    "text search configuration": Case(
        before="CREATE TEXT SEARCH CONFIGURATION c (COPY = simple);",
        command="TEXT SEARCH CONFIGURATION public.c",
        after="CREATE TEXT SEARCH CONFIGURATION c (COPY = simple); COMMENT ON TEXT SEARCH CONFIGURATION c IS 'x'",
    ),
    "statistics": Case(
        before=T + "CREATE STATISTICS s ON a, (a + 1) FROM t;",
        command="STATISTICS public.s",
        after=T + "CREATE STATISTICS s ON a, (a + 1) FROM t; COMMENT ON STATISTICS s IS 'x'",
    ),
    "publication": Case(
        before=T + "CREATE PUBLICATION p", command="PUBLICATION p", after=T + "CREATE PUBLICATION p FOR TABLE t"
    ),
}


@pytest.fixture
def as_superuser(tenant: Tenant, superuser_url: str) -> Callable[[str], None]:
    """Run a statement in the tenant's database as the superuser."""
    database = conninfo_to_dict(tenant.conninfo)["dbname"]

    def run(statement: str) -> None:
        with psycopg.connect(make_conninfo(superuser_url, dbname=database), autocommit=True) as connection:
            connection.execute(statement.encode())

    return run


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_refusal_names_what_mends_it(tenant: Tenant, as_superuser: Callable[[str], None], case: Case):
    tenant.register({f"{case.folder}/a.pssql": case.before})
    as_superuser(f"ALTER {case.command} OWNER TO CURRENT_USER")
    before = tenant.catalog()
    with pytest.raises(EngineError, match="belongs to the role postgres") as refused:
        tenant.migrate({f"{case.folder}/a.pssql": case.after})
    (advised,) = _COMMAND.findall(refused.value.message)
    assert advised.startswith(f"ALTER {case.command} OWNER TO ")
    assert tenant.catalog() == before

    as_superuser(advised)
    assert tenant.migrate({f"{case.folder}/a.pssql": case.after}).differences == ()


def test_a_restored_database_names_the_objects_step_by_step(tenant: Tenant, as_superuser: Callable[[str], None]):
    files = {"tables/t.pssql": "CREATE TABLE t (id serial PRIMARY KEY);"}
    tenant.register(files)
    as_superuser(
        "DO $$ DECLARE r record; BEGIN FOR r IN SELECT oid::regclass AS name FROM pg_class WHERE relkind = 'r'"
        " AND relnamespace = 'public'::regnamespace LOOP EXECUTE format('ALTER TABLE %s OWNER TO postgres', r.name);"
        " END LOOP; END $$"
    )
    changed = files | {"tables/t.pssql": "CREATE TABLE t (id serial PRIMARY KEY, a int);"}
    for _ in range(10):
        try:
            tenant.migrate(changed)
        except EngineError as exc:
            (advised,) = _COMMAND.findall(exc.message)
            as_superuser(advised)
        else:
            return
    pytest.fail("the advice of ten refusals did not lead to a deploy")


def test_owners_are_named_in_the_differences(tenant: Tenant, as_superuser: Callable[[str], None]):
    files = {"functions/f.pssql": F.format(1), "tables/t.pssql": T}
    tenant.register(files)
    as_superuser("ALTER FUNCTION f(int) OWNER TO postgres")
    differences = tenant.migrate(files | {"tables/u.pssql": "CREATE TABLE u (a int)"}).differences
    assert [text for text in differences if "f(integer)" in text and "postgres" in text]


def test_a_refusal_about_no_object_of_another_role_stays_as_it_is(tenant: Tenant):
    with pytest.raises(EngineError) as refused:
        tenant.register({"migrations/1.pssql": "CREATE ROLE nobody_may"})
    assert "belongs to the role" not in refused.value.message
