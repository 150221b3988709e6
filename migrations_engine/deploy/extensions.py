"""Installs extensions, which is the first step because types and tables may use their objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from migrations_engine.deploy.session import DeploySession
from migrations_engine.errors import ExtensionInstallFailed, ExtensionNotAvailable
from migrations_engine.model import DEFAULT_SCHEMA
from migrations_engine.queries import load_queries
from migrations_engine.schema import SchemaFile
from migrations_engine.source.names import created_name
from migrations_engine.source.script import script_of
from migrations_engine.source.statements import directive

_QUERIES: Final = load_queries(__package__)
_ALIASES: Final = {"pgvector": "vector"}  #: projects whose name differs from that of their extension
_STEP: Final = "extensions"


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedExtension:
    """The extension that a file of ``extensions/`` requests."""

    name: str
    version: str | None
    schema: str | None
    file: SchemaFile


def wanted_extension(file: SchemaFile) -> WantedExtension:
    """Return the extension of *file*, from its CREATE EXTENSION or else from its name, and from its directives."""
    named = next((made.name for made in script_of(file).created if made.kind == "EXTENSION"), None)
    return WantedExtension(
        name=named or _ALIASES.get(file.stem, file.stem),
        version=directive(file.text, "version"),
        schema=directive(file.text, "schema"),
        file=file,
    )


def deploy_extensions(session: DeploySession, files: Sequence[SchemaFile]) -> int:
    """Install missing extensions and return their number. If all are installed, this costs one query.

    :raises ExtensionNotAvailable: the server does not have the extension, or not in that version
    :raises ExtensionInstallFailed: PostgreSQL refused to install it
    """
    wanted = [wanted_extension(file) for file in files]
    if not wanted:
        return 0
    available = _available(session, [extension.name for extension in wanted])
    installed = 0
    for extension in wanted:
        versions = available.get(extension.name, {})
        current = next((row["installed"] for row in versions.values() if row["installed"]), None)
        if current is None:
            _check_available(extension, versions)
            _install(session, extension)
            installed += 1
        else:
            _report_differences(session, extension, current, next(iter(versions.values()))["schema"])
    _extend_search_path(session, wanted)
    return installed


def _available(session: DeploySession, names: Sequence[str]) -> Mapping[str, Mapping[str, dict[str, str | None]]]:
    with session.connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(_QUERIES["available_extensions"], {"names": list(names)}).fetchall()
    versions: dict[str, dict[str, dict[str, str | None]]] = {}
    for row in rows:
        versions.setdefault(row["name"], {})[row["version"]] = row
    return versions


def _check_available(extension: WantedExtension, versions: Mapping[str, object]) -> None:
    if not versions:
        raise ExtensionNotAvailable(
            f"extension {extension.name!r} is not available on this PostgreSQL server; install its package there "
            f"(docs/quick-start.md has what the embedded server offers), or remove {extension.file.label}",
            file=extension.file.label,
        )
    if extension.version is not None and extension.version not in versions:
        raise ExtensionNotAvailable(
            f"extension {extension.name!r} is not available in version {extension.version}; "
            f"this server has {', '.join(sorted(versions))}. Install that version, or change {extension.file.label}",
            file=extension.file.label,
        )


def _install(session: DeploySession, extension: WantedExtension) -> None:
    clauses: list[sql.Composable] = [
        sql.SQL("CREATE EXTENSION IF NOT EXISTS {}").format(sql.Identifier(extension.name))
    ]
    with session.failures_as(ExtensionInstallFailed, file=extension.file):
        if extension.schema is not None:
            schema = sql.Identifier(extension.schema)
            _run(session, sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(schema), extension)
            clauses.append(sql.SQL("SCHEMA {}").format(schema))
        if extension.version is not None:
            clauses.append(sql.SQL("VERSION {}").format(sql.Identifier(extension.version)))
        clauses.append(sql.SQL("CASCADE"))
        _run(session, sql.SQL(" ").join(clauses), extension)
        for statement in script_of(extension.file).statements:
            made = created_name(statement)
            if made is None or made.kind not in {"EXTENSION", "SCHEMA"}:
                session.run_statement(extension.file, statement)
    session.log("install_extension", extension.name, version=extension.version, schema=extension.schema)


def _run(session: DeploySession, statement: sql.Composed, extension: WantedExtension) -> None:
    session.run(statement, step=_STEP, file=extension.file.label)


def _report_differences(session: DeploySession, extension: WantedExtension, current: str, schema: str | None) -> None:
    if extension.version not in {None, current}:
        session.warnings.append(
            f"extension {extension.name} is installed in version {current}, {extension.file.label} asks for "
            f"{extension.version}; change it with ALTER EXTENSION … UPDATE in a migration"
        )
    if extension.schema not in {None, schema}:
        session.warnings.append(
            f"extension {extension.name} is installed in schema {schema}, {extension.file.label} asks for "
            f"{extension.schema}; move it with ALTER EXTENSION … SET SCHEMA in a migration"
        )


def _extend_search_path(session: DeploySession, wanted: Sequence[WantedExtension]) -> None:
    """Add schemas of extensions to the search_path of the database, so that their objects are found unqualified."""
    schemas = list(dict.fromkeys(e.schema for e in wanted if e.schema not in {None, DEFAULT_SCHEMA}))
    if not schemas:
        return
    row = session.query(_QUERIES["database_search_path"]).fetchone()
    path = row[0] if row else '"$user", public'
    present = {part.strip().strip('"') for part in path.split(",")}
    missing = [schema for schema in schemas if schema not in present]
    addition = "".join(f", {sql.Identifier(schema).as_string(None)}" for schema in missing if schema is not None)
    if missing:
        database = session.connection.info.dbname
        statement = sql.SQL("ALTER DATABASE {} SET search_path TO {}").format(
            sql.Identifier(database), sql.SQL(path + addition)
        )
        try:
            session.run(statement, step=_STEP)
        except psycopg.Error as exc:
            raise session.failure(exc, ExtensionInstallFailed, what="setting the search_path") from exc
    session.search_path = path + addition
    session.restore_settings(True)
