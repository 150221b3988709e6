"""The input of a comparison: what the schema and earlier deploys declare, and what the database has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from migrations_engine.catalog import read_catalog, read_routines
from migrations_engine.deploy.migrations import runs_outside_transaction
from migrations_engine.deploy_context import DeployContext
from migrations_engine.deploy_record import accepted_changes, followed_declarations, last_desired_schema
from migrations_engine.desired import DesiredSchema, load_desired_schema, scratch_databases_beside
from migrations_engine.diff import Sources, with_lagging
from migrations_engine.model import CATALOG_VERSION, Catalog
from migrations_engine.report import Change
from migrations_engine.schema import Schema, SchemaFile
from migrations_engine.source.functions_folder import structure_checksum
from migrations_engine.tracking import Records


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """The input of a comparison."""

    schema: Schema
    desired: DesiredSchema
    pending: tuple[SchemaFile, ...] = ()  #: the migrations that this deploy runs
    before: Catalog | None = None  #: the database as the deploy found it, with present names; None for a new one
    then: Catalog | None = None  #: the same with the names that it had
    former: Catalog | None = None  #: what the last deploy declared, with present names; None when that is unknown
    stated: Catalog | None = None  #: the same as it was declared
    earlier_labels: Mapping[str, str] = field(default_factory=dict)  #: of what migrations have renamed, by present ones
    installed: frozenset[str] = frozenset()  #: names of the extensions that were installed before
    accepted: tuple[Change, ...] = ()  #: differences that earlier deploys were forced to leave
    force: bool = False

    @property
    def declared_as_followed(self) -> Catalog:
        """What is declared, where it lags behind earlier migrations as those have left it."""
        desired = self.desired
        sources = Sources(
            declared=desired.declared,
            complete=desired.complete,
            actual=self.before or Catalog(),
            former=self.former,
            stated=self.stated,
        )
        return with_lagging(sources).declared


def existing_situation(context: DeployContext, records: Records, pending: tuple[SchemaFile, ...]) -> Situation:
    """Return the situation of an existing database before the migrations *pending*."""
    state = context.state
    last = last_desired_schema(records, state)
    return Situation(
        schema=context.schema,
        desired=_desired_schema(context, last),
        pending=pending,
        before=context.before,
        former=(followed_declarations(records, state) or last.declared) if last is not None else None,
        stated=last.declared if last is not None else None,
        installed=frozenset(state.extensions),
        accepted=accepted_changes(state),
        force=context.options.force,
    )


def new_situation(context: DeployContext, declared: Catalog | None) -> Situation:
    """Return the situation of a new database, after its files and migrations have run.

    :param declared: its catalog before the migrations; None if there are none
    """
    complete = read_catalog(context.connection)
    routines = read_routines(context.connection)
    declared = complete if declared is None else declared
    desired = DesiredSchema.of(context.schema, declared=declared, complete=complete, routines=routines)
    return Situation(schema=context.schema, desired=desired, force=context.options.force)


def _desired_schema(context: DeployContext, last: DesiredSchema | None) -> DesiredSchema:
    """Return the desired schema, from the records of the last deploy if that had the same structure."""
    schema, options = context.schema, context.options
    note, version = context.state.last, context.server_version
    known = tuple(note.get(name) for name in ("structure_checksum", "server_version", "catalog_version"))
    if last is not None and known == (structure_checksum(schema), version, CATALOG_VERSION):
        return last
    scratch = options.scratch or scratch_databases_beside(context.connection)

    def load() -> DesiredSchema:
        outside = any(runs_outside_transaction(file) for file in schema.migrations)
        with scratch.database() if outside else scratch.transaction() as connection:
            return load_desired_schema(connection, schema, search_path=options.search_path)

    return options.desired_schemas.get(schema, version, load)
