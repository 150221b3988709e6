"""The catalog of a database, and how it is written as JSON."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any, Final, Self

from migrations_engine.model.objects import ColumnUser, DatabaseObject, Privilege, Type
from migrations_engine.model.relations import Attachment, Column, Constraint, Relation, Sequence

CATALOG_VERSION: Final = 4  #: raised when the queries return more, so that stored catalogs are read again


@dataclass(frozen=True, kw_only=True)
class Catalog:
    """All objects of the application in one database, each tuple in a fixed order."""

    server_version: int = 0  #: ``server_version_num``
    schemas: tuple[str, ...] = ()  #: besides ``public``
    relations: tuple[Relation, ...] = ()
    sequences: tuple[Sequence, ...] = ()  #: those that belong to no serial or identity column
    types: tuple[Type, ...] = ()
    comments: tuple[tuple[str, str, str], ...] = ()  #: (kind, identity, text) with the names of ``pg_identify_object``
    column_users: tuple[ColumnUser, ...] = ()
    privileges: tuple[Privilege, ...] = ()
    objects: tuple[DatabaseObject, ...] = ()
    uncovered: tuple[str, ...] = ()  #: objects that are compared by their names only
    text: str | None = field(default=None, compare=False, repr=False)  #: the JSON from which it was read, if any

    @cached_property
    def relation_by_label(self) -> dict[str, Relation]:
        """Tables and views by label."""
        return {relation.label: relation for relation in self.relations}

    @cached_property
    def type_by_label(self) -> dict[str, Type]:
        """Types by label."""
        return {type_.label: type_ for type_ in self.types}

    def to_json(self) -> str:
        """Return the catalog as JSON; if it was read from JSON, the same text. It is equal for equal contents."""
        if self.text is not None:
            return self.text
        document = {item.name: getattr(self, item.name) for item in fields(self) if item.name != "text"}
        return json.dumps(document, default=_present_fields, ensure_ascii=False, sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return the catalog from the JSON of ``to_json`` or of the catalog query."""
        document: dict[str, Any] = json.loads(text)
        return cls(
            server_version=document.get("server_version", 0),
            schemas=tuple(document.get("schemas") or ()),
            relations=tuple(_relation(entry) for entry in document.get("relations") or ()),
            sequences=tuple(Sequence(**entry) for entry in document.get("sequences") or ()),
            types=tuple(_type(entry) for entry in document.get("types") or ()),
            comments=tuple((kind, identity, words) for kind, identity, words in document.get("comments") or ()),
            column_users=tuple(_column_user(entry) for entry in document.get("column_users") or ()),
            privileges=tuple(Privilege(**entry) for entry in document.get("privileges") or ()),
            objects=tuple(_object(entry) for entry in document.get("objects") or ()),
            uncovered=tuple(document.get("uncovered") or ()),
            text=text,
        )

    def fingerprint(self) -> str:
        """Return the SHA-256 of the JSON in hexadecimal. It is equal if a database has not changed."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()


def _present_fields(value: Any) -> dict[str, Any]:  # noqa: ANN401 - the JSON encoder passes every value of an unknown type
    return {item.name: content for item in fields(value) if (content := getattr(value, item.name)) != item.default}


def _column_user(entry: Any) -> ColumnUser:  # noqa: ANN401 - the query writes a list, ``to_json`` an object
    if isinstance(entry, dict):
        return ColumnUser(**entry)
    relation, column, kind, name, holder = entry
    return ColumnUser(relation=relation, column=column, kind=kind, name=name, holder=holder)


def _with_tuples(entry: dict[str, Any], *names: str) -> dict[str, Any]:
    for name in names:
        if name in entry:
            entry[name] = tuple(entry[name])
    return entry


def _column(entry: dict[str, Any]) -> Column:
    if "sequence" in entry:
        entry["sequence"] = Sequence(**entry["sequence"])
    return Column(**_with_tuples(entry, "options"))


def _relation(entry: dict[str, Any]) -> Relation:
    constraints = tuple(
        Constraint(**_with_tuples(found, "columns", "foreign_columns")) for found in entry.pop("constraints", ())
    )
    attachments = tuple(Attachment(**_with_tuples(found, "keys", "targets")) for found in entry.pop("attachments", ()))
    columns = tuple(_column(found) for found in entry.pop("columns", ()))
    return Relation(
        **_with_tuples(entry, "parents", "options", "uses"),
        columns=columns,
        constraints=constraints,
        attachments=attachments,
    )


def _type(entry: dict[str, Any]) -> Type:
    entry["checks"] = tuple((name, definition) for name, definition in entry.get("checks", ()))
    entry["attributes"] = tuple(_column(found) for found in entry.get("attributes", ()))
    return Type(**_with_tuples(entry, "values", "details"))


def _object(entry: dict[str, Any]) -> DatabaseObject:
    entry["parts"] = tuple((said, reverted) for said, reverted in entry.get("parts", ()))
    return DatabaseObject(**entry)
