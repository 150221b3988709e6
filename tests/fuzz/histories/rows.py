"""Rows for any table, from its catalog, and the rows of a database for comparison."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any

import psycopg

from tests.fuzz.histories.declarations import quoted

COLUMNS = """
SELECT c.oid::regclass::text, a.attname, CASE WHEN t.typtype = 'd' THEN format_type(t.typbasetype, t.typtypmod)
       ELSE format_type(a.atttypid, a.atttypmod) END, a.attidentity = 'a' OR a.attgenerated <> '',
       pg_get_expr(d.adbin, d.adrelid) ~ 'nextval' OR a.attidentity <> '',
       (SELECT array_agg(e.enumlabel ORDER BY e.enumsortorder)::text[] FROM pg_enum e WHERE e.enumtypid = a.atttypid),
       (SELECT array[f.confrelid::regclass::text, b.attname] FROM pg_constraint f JOIN pg_attribute b
        ON b.attrelid = f.confrelid AND b.attnum = f.confkey[1]
        WHERE f.contype = 'f' AND f.conrelid = c.oid AND f.conkey[1] = a.attnum AND f.confrelid <> c.oid LIMIT 1),
       (SELECT array_agg(m[1]) FROM pg_constraint k, regexp_matches(pg_get_constraintdef(k.oid), '''([^'']*)''', 'g') m
        WHERE k.contype = 'c' AND k.conrelid = c.oid AND a.attnum = ANY (k.conkey))
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
JOIN pg_type t ON t.oid = a.atttypid LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relname NOT LIKE '\\_stonescriptdb%'
AND c.relnamespace::regnamespace::text !~ '^pg_|information_schema' ORDER BY c.relname, a.attnum
"""
_NOW = re.compile(r'"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d\.\d{3,}[^"]*"')
_UUID = re.compile(r'"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"')


def insert_rows(conninfo: str, number: int) -> list[str]:
    """Insert some rows into every table where PostgreSQL allows it, and return the statements that did."""
    done: list[str] = []
    with psycopg.connect(conninfo, autocommit=True) as connection:
        for offset in range(3):
            wanted = _statements(connection, number * 3 + offset)
            for _ in range(3):  # a table refers to others
                wanted = [statement for statement in wanted if not _accepted(connection, statement, done)]
    return done


def _accepted(connection: psycopg.Connection[Any], statement: str, done: list[str]) -> bool:
    try:
        connection.execute(statement.encode())
    except psycopg.Error:
        return False
    done.append(statement)
    return True


def _statements(connection: psycopg.Connection[Any], number: int) -> list[str]:
    tables: dict[str, list[tuple[str, str]]] = {}
    for table, name, kind, computed, numbered, labels, refers, words in connection.execute(COLUMNS.encode()):
        values = tables.setdefault(table, [])
        if not computed and not numbered:
            values.append((quoted(name), _value(kind, number, labels, refers, words)))
    return [
        f"INSERT INTO {table} ({', '.join(n for n, _ in values)}) VALUES ({', '.join(v for _, v in values)})"
        if values
        else f"INSERT INTO {table} DEFAULT VALUES"
        for table, values in tables.items()
    ]


def _value(kind: str, number: int, labels: list[str] | None, refers: list[str] | None, words: list[str] | None) -> str:
    if refers:
        column = quoted(refers[1])
        offset = f"{number} % greatest(1, (SELECT count(*) FROM {refers[0]}))"
        return f"(SELECT {column} FROM {refers[0]} ORDER BY 1 OFFSET {offset} LIMIT 1)"
    if labels or words:
        return "'" + (labels or words or [""])[number % len(labels or words or [""])].replace("'", "''") + "'"
    base = kind.partition("(")[0].removesuffix("[]")
    values = {
        "smallint": str(number + 1),
        "integer": str(2000 + number),
        "bigint": str(2000 + number),
        "real": f"{number}.5",
        "double precision": f"{number}.5",
        "numeric": f"{number}.25",
        "boolean": "true" if number % 2 else "false",
        "date": f"'2022-0{number % 7 + 1}-10'",
        "bytea": f"'\\x0{number}'",
        "jsonb": "'{}'",
        "json": "'{}'",
        "tsvector": "'a b'",
        "uuid": f"'00000000-0000-0000-0000-{number:012}'",
        "inet": "'127.0.0.1'",
        "interval": "'1 day'",
    }
    value = values.get(base)
    if value is None and base.startswith("timestamp"):
        value = f"'2022-0{number % 7 + 1}-10 10:00:00+00'"
    if value is None:
        length = re.search(r"\((\d+)\)", kind)
        value = f"'w{number}'"[: int(length[1]) + 1].rstrip("'") + "'" if length else f"'word {number}'"
    return f"ARRAY[{value}]::{kind}" if kind.endswith("[]") else value


def rows_of(superuser_conninfo: str) -> dict[str, Counter[str]]:
    """Return the rows of every table, as JSON, without what depends on the clock or on chance."""
    found = {}
    with psycopg.connect(superuser_conninfo) as connection:
        tables = {row[0] for row in connection.execute(COLUMNS.encode())}
        for table in sorted(tables):
            rows = connection.execute(f"SELECT to_jsonb(t) FROM {table} AS t".encode()).fetchall()
            found[table] = Counter(
                _UUID.sub('"uuid"', _NOW.sub('"now"', json.dumps(row[0], sort_keys=True))) for row in rows
            )
    return found
