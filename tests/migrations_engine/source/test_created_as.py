"""``SELECT … INTO`` is the ``CREATE TABLE … AS`` that PostgreSQL makes of it."""

from __future__ import annotations

import pytest

from migrations_engine.source.created_as import select_into_as_create, table_created_as
from migrations_engine.source.statements import split


@pytest.mark.parametrize(
    ("text", "created"),
    [
        ("SELECT * INTO a FROM r", "CREATE TABLE a AS SELECT * FROM r"),
        ('SELECT 1 into temp TABLE "A b" . c', 'CREATE temp TABLE "A b".c AS SELECT 1 '),
        ("SELECT a\nINTO\n unlogged b FROM c", "CREATE unlogged TABLE b AS SELECT a\n\nFROM c"),
        ("WITH q AS (TABLE r) SELECT a INTO b FROM q", "CREATE TABLE b AS WITH q AS (TABLE r) SELECT a FROM q"),
    ],
)
def test_select_into_creates_its_table(text: str, created: str) -> None:
    [statement] = split(text)
    changed = select_into_as_create(statement)
    assert changed.text == created
    assert changed.words[0] == "CREATE"
    assert table_created_as(changed) is not None


@pytest.mark.parametrize(
    "text",
    [
        "WITH new AS (SELECT 1) INSERT INTO t SELECT * FROM new",
        "WITH new AS (SELECT 1) MERGE INTO t USING new ON true WHEN MATCHED THEN DELETE",
        "SELECT 1 AS into, t.into, 'into', \"into\" FROM t",
        "SELECT 1 INTO",
        "WITH new AS (INSERT INTO t VALUES (1) RETURNING a) SELECT a FROM new",
    ],
)
def test_other_statements_stay(text: str) -> None:
    [statement] = split(text)
    assert select_into_as_create(statement) is statement
