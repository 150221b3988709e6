"""Functions of a schema, and what a deploy reports of them."""

from __future__ import annotations


def status(
    body: str, head: str = "CREATE OR REPLACE FUNCTION status() RETURNS text LANGUAGE plpgsql"
) -> dict[str, str]:
    return {"functions/status.pssql": f"{head} AS $$ {body} $$;"}


def function(signature: str, body: str = "SELECT 1") -> dict[str, str]:
    return {"functions/f.pssql": f"CREATE OR REPLACE FUNCTION f({signature} LANGUAGE sql AS $$ {body} $$;"}


def one(
    name: str, arguments: str = "", result: str = "int", value: str = "1", create: str = "CREATE OR REPLACE"
) -> str:
    return f"{create} FUNCTION {name}({arguments}) RETURNS {result} LANGUAGE sql AS $$ SELECT {value} $$;"


def identities(tenant) -> list[str]:
    rows = tenant.rows(
        "SELECT p.oid::regprocedure::text FROM pg_proc p WHERE pronamespace NOT IN ('pg_catalog'::regnamespace,"
        " 'information_schema'::regnamespace) ORDER BY 1"
    )
    return [identity for (identity,) in rows]
