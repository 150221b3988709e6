"""DDL for comments and privileges."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from psycopg import sql

from migrations_engine.deploy.ddl.steps import Part, Phase, Step, join, wanted_of
from migrations_engine.diff import Difference
from migrations_engine.model import Privilege

_WORDS: Final = {
    "table constraint": "CONSTRAINT",
    "domain constraint": "CONSTRAINT",
    "composite type": "TYPE",
    "statistics object": "STATISTICS",
}


def alter_comment(difference: Difference) -> Iterator[Step]:
    """Set a comment, or take it away."""
    yield comment(difference.name or "", difference.table, difference.to_text)


def comment(kind: str, identity: str, text: str | None) -> Step:
    """Comment on an object, its *kind* and *identity* as ``pg_identify_object`` gives them."""
    word = "COLUMN" if kind.endswith("column") else _WORDS.get(kind, kind.upper())
    if kind == "domain constraint":
        name, _, domain = identity.partition(" on ")
        identity = f"{name} ON DOMAIN {domain}"
    return Step(Phase.NOTES, join("COMMENT ON", word, identity, "IS", "NULL" if text is None else sql.Literal(text)))


def grant_privilege(difference: Difference) -> Iterator[Step]:
    """Give a role what it may do."""
    yield grant(wanted_of(difference, Privilege))


def revoke_privilege(difference: Difference) -> Iterator[Step]:
    """Take from a role what it may do no more."""
    yield Step(Phase.NOTES, join("REVOKE", *_spelled(wanted_of(difference, Privilege), "FROM")))


def grant(privilege: Privilege) -> Step:
    """The statement that gives *privilege*."""
    option = "WITH GRANT OPTION" if privilege.grantable else None
    return Step(Phase.NOTES, join("GRANT", *_spelled(privilege, "TO"), option))


def _spelled(privilege: Privilege, preposition: str) -> list[Part]:
    column = sql.SQL("({})").format(sql.Identifier(privilege.column)) if privilege.column else None
    grantee = sql.Identifier(privilege.grantee) if privilege.grantee else "PUBLIC"
    return [privilege.privilege, column, "ON", privilege.kind, privilege.qualified, preposition, grantee]
