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
    "foreign-data wrapper": "FOREIGN DATA WRAPPER",
}
_DEFAULT: Final = "DEFAULT "  #: prefix of the kind of default privileges


def alter_comment(difference: Difference) -> Iterator[Step]:
    """Set or remove a comment."""
    yield comment(difference.name or "", difference.table, difference.to_text)


def comment(kind: str, identity: str, text: str | None) -> Step:
    """Comment on an object; *kind* and *identity* are as ``pg_identify_object`` returns them."""
    word = "COLUMN" if kind.endswith("column") else _WORDS.get(kind, kind.upper())
    if kind == "domain constraint":
        name, _, domain = identity.partition(" on ")
        identity = f"{name} ON DOMAIN {domain}"
    return Step(Phase.NOTES, join("COMMENT ON", word, identity, "IS", "NULL" if text is None else sql.Literal(text)))


def grant_privilege(difference: Difference) -> Iterator[Step]:
    """Grant a privilege."""
    yield _grant(wanted_of(difference, Privilege))


def revoke_privilege(difference: Difference) -> Iterator[Step]:
    """Revoke a privilege."""
    yield _revoke(wanted_of(difference, Privilege))


def restore_privilege(privilege: Privilege) -> Step:
    """Grant or revoke a privilege again on an object that was created again."""
    return _revoke(privilege) if privilege.revoked else _grant(privilege)


def _grant(privilege: Privilege) -> Step:
    option = "WITH GRANT OPTION" if privilege.grantable else None
    return Step(Phase.NOTES, join(*_spelled("GRANT", privilege, "TO"), option))


def _revoke(privilege: Privilege) -> Step:
    # The role may have granted the privilege to others, which PostgreSQL does not allow to stay.
    return Step(Phase.NOTES, join(*_spelled("REVOKE", privilege, "FROM"), None if privilege.owner else "CASCADE"))


def _spelled(verb: str, privilege: Privilege, preposition: str) -> list[Part]:
    column = sql.SQL("({})").format(sql.Identifier(privilege.column)) if privilege.column else None
    grantee = (
        sql.Identifier(privilege.grantee) if privilege.grantee else "CURRENT_USER" if privilege.owner else "PUBLIC"
    )
    parts = [verb, privilege.privilege, column, "ON"]
    if privilege.kind.startswith(_DEFAULT):  # default privileges
        kind = privilege.kind.removeprefix(_DEFAULT)
        return ["ALTER DEFAULT PRIVILEGES", privilege.qualified, *parts, kind, preposition, grantee]
    return [*parts, privilege.kind, privilege.qualified, preposition, grantee]
