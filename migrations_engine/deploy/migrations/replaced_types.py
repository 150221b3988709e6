"""Types that migrations replace by others of the same name, where the declared type is still the earlier one."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Final, NamedTuple

import psycopg
from psycopg import sql

from migrations_engine.catalog import read_catalog
from migrations_engine.deploy.migrations.renames import rename_of
from migrations_engine.deploy.session import DeploySession
from migrations_engine.model import Catalog, Type
from migrations_engine.schema import SchemaFile
from migrations_engine.source.alter_table import alter_type_actions
from migrations_engine.source.names import created_name, dropped_names
from migrations_engine.source.script import script_of
from migrations_engine.source.statements import SqlStatement

_KINDS: Final = frozenset({"TYPE", "DOMAIN"})
_ASIDE: Final = sql.Identifier("_stonescriptdb_gateway_aside")


class _Replacement(NamedTuple):
    """A statement that creates a type, which gets or takes over the name of a declared one."""

    file: SchemaFile
    statement: SqlStatement
    created: str  #: its name at first
    name: str  #: its name in the end


def replaced_types_that_lag(
    session: DeploySession, migrations: Sequence[SchemaFile], declared: Catalog, new_names: Collection[str]
) -> frozenset[str]:
    """Return the names of the declared types that are those which *migrations* replace, not those that replace them.

    The declared type is the later one if it is what the last migration creates, or could have become so without one.

    :param new_names: names of declared objects that are new to the database
    """
    types = {type_.name: type_ for type_ in declared.types if type_.name in new_names}
    last = {found.name: found for found in _replacements(migrations) if found.name in types} if types else {}
    return frozenset(name for name, found in last.items() if _lags(session, found, types[name]))


def _replacements(migrations: Sequence[SchemaFile]) -> Iterator[_Replacement]:
    """Yield the types that migrations create and whose name in the end another type has had before."""
    created: dict[str, tuple[SchemaFile, SqlStatement, str]] = {}  # by the present name
    free: set[str] = set()  # names that others have had before
    for file in migrations:
        for statement in script_of(file).statements:
            made, renamed = created_name(statement), rename_of(statement)
            free |= {dropped.name for dropped in dropped_names(statement) if dropped.name and dropped.kind in _KINDS}
            if made is not None and made.name is not None and made.kind in _KINDS:
                created[made.name] = (file, statement, made.name)
                if made.name in free:
                    yield _Replacement(*created[made.name], made.name)
            elif renamed is not None and renamed.kind in _KINDS and renamed.new_name is not None:
                free.add(renamed.old_name)
                if (found := created.pop(renamed.old_name, None)) is not None:
                    created[renamed.new_name] = found
                    if renamed.new_name in free:
                        yield _Replacement(*found, renamed.new_name)
            elif (altered := alter_type_actions(statement)) is not None and altered.table.name in created:
                del created[altered.table.name]  # it has become another one since
                yield _Replacement(file, statement, altered.table.name, altered.table.name)


def _lags(session: DeploySession, found: _Replacement, declared: Type) -> bool:
    if created_name(found.statement) is None:
        return False  # a later migration alters it
    made = _made_by(session, found, declared)
    if made is None or made.kind != declared.kind:
        return made is not None
    if made.kind == "enum":
        new = [value for value in declared.values if value not in made.values]
        kept = tuple(value for value in declared.values if value in made.values)
        return kept != made.values or any(sql.Literal(value).as_string() in found.file.text for value in new)
    if made.kind == "composite":
        parts = [(item.name, item.type) for item in made.attributes]
        return parts != [(item.name, item.type) for item in declared.attributes][: len(parts)]
    return (made.base, made.collation, made.details) != (declared.base, declared.collation, declared.details)


def _made_by(session: DeploySession, found: _Replacement, declared: Type) -> Type | None:
    """Return the type that the statement creates; None if PostgreSQL refuses it yet."""
    try:
        with session.undone():
            if found.created == declared.name:
                session.query(sql.SQL("ALTER TYPE {} RENAME TO {}").format(sql.Identifier(*declared.address), _ASIDE))
            with session.search_path_of(found.statement):
                session.query(found.statement.text.encode())
            types = read_catalog(session.connection).types
    except psycopg.ProgrammingError:
        return None
    return next((type_ for type_ in types if type_.address == (declared.schema, found.created)), None)
