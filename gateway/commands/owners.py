"""The commands about the owners of databases: adopt, release, platform-roles, mend.

They need no running gateway: they use the settings, PostgreSQL and DATA_DIR themselves.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import click

from gateway.commands.local import opened_services, read_settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.naming import DatabaseOwner
    from gateway.settings import Settings


def add_owner_commands(group: click.Group) -> None:
    """Add the commands of this module to *group*."""
    for command in (adopt, release, platform_roles, mend):
        group.add_command(command)


@click.command()
@click.argument("platform")
@click.option("--tenant-id", "tenant_ids", multiple=True, metavar="ID", help="The tenant's database; may be repeated.")
@click.option("--schema", "schema_name", metavar="NAME", help="Of version 2: databases of this stored schema.")
@click.option("--database-id", "database_ids", multiple=True, metavar="ID", help="With --schema; may be repeated.")
@click.option("--all", "every", is_flag=True, help="Every database without a recorded owner whose name fits.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
def adopt(
    *,
    platform: str,
    tenant_ids: tuple[str, ...],
    schema_name: str | None,
    database_ids: tuple[str, ...],
    every: bool,
    yes: bool,
) -> None:
    """Record existing databases as PLATFORM's.

    For databases that were created by hand or by an earlier gateway, which are not served before. Without --tenant-id,
    --schema and --all it is the platform's main database. The databases are listed first, and nothing in them changes.
    """
    from gateway.operations.manage_databases import (  # noqa: PLC0415 - only this command needs these
        adopt_database,
        check_adoptable,
        find_adoptable,
    )

    _check_adopt_options(tenant_ids, schema_name, database_ids, every=every)
    ids = database_ids or tenant_ids
    with opened_services(_of_every_owner(read_settings())) as services:
        owners = find_adoptable(services, platform, schema_name) if every else _owners(platform, schema_name, ids)
        for owner in owners if not every else ():
            check_adoptable(services, owner)
        if not owners:
            click.echo(f"There is no database without a recorded owner whose name fits platform {platform!r}.")
            return
        for owner in owners:
            click.echo(f"{owner.database_name}: {_description(owner)}")
        if every:
            click.echo("If the application spells an id differently (x-1 for x_1), adopt its database with that id.")
        if not yes:
            click.confirm(f"Adopt {_databases(len(owners))}?", abort=True)
        for owner in owners:
            adopt_database(services, owner)
            click.echo(f"Adopted {owner.database_name}")


def _check_adopt_options(
    tenant_ids: Sequence[str], schema_name: str | None, database_ids: Sequence[str], *, every: bool
) -> None:
    """Raise UsageError if these options of ``adopt`` exclude each other, or one is missing."""
    if every and (database_ids if schema_name else tenant_ids):
        raise click.UsageError("--all excludes --tenant-id and --database-id")
    fits = (not tenant_ids and (every or bool(database_ids))) if schema_name else not database_ids
    if not fits:
        raise click.UsageError("--schema goes with --database-id or --all, and --tenant-id with neither")


@click.command()
@click.argument("names", metavar="DATABASE...", nargs=-1, required=True)
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
def release(names: tuple[str, ...], yes: bool) -> None:
    """Remove the recorded owner of databases.

    The opposite of adopt, for databases that this gateway is to serve no more, or that were renamed or restored and
    are to be adopted for another owner. Their names are those of PostgreSQL. They are listed first, and nothing in them
    changes. Running gateways serve them for up to 30 seconds more.
    """
    with opened_services(_of_every_owner(read_settings())) as services:
        databases = [services.directory.named(name) for name in dict.fromkeys(names)]
        for database in databases:
            click.echo(f"{database.name}: {_description(database.owner)}")
        if not yes:
            click.confirm(f"Release {_databases(len(databases))}?", abort=True)
        for database in databases:
            services.lifecycle.release(database)
            click.echo(f"Released {database.name}")


@click.command("platform-roles")
@click.option(
    "--platform",
    "platforms",
    multiple=True,
    metavar="NAME",
    help="Only the databases of this platform; may be repeated.",
)
@click.option("--new-passwords", is_flag=True, help="Only set new passwords, after the secret in DATA_DIR was lost.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
def platform_roles(platforms: tuple[str, ...], new_passwords: bool, yes: bool) -> None:
    """Make each platform's role the owner of its databases.

    For PLATFORM_ROLES=on. The role of a platform becomes the owner of its databases and of the gateway's objects in
    them, and CONNECT is revoked from all others. The gateway may run meanwhile, with PLATFORM_ROLES=off. The changes
    are listed first; the command may be repeated.
    """
    from gateway.databases import PlatformRoles  # noqa: PLC0415 - only this command needs these
    from gateway.operations.move_databases import databases_to_move, move_database, renew_passwords  # noqa: PLC0415

    settings = read_settings()
    roles = PlatformRoles(settings.role_secret_file, maintenance_database=settings.maintenance_database)
    with opened_services(_of_every_owner(settings)) as services:
        if new_passwords:
            for platform in renew_passwords(services, roles):
                click.echo(f"Set the password of {roles.role_of(platform)}")
            return
        moves = databases_to_move(services)
        if platforms:
            moves = [move for move in moves if move.database.owner.platform in platforms]
        if not moves:
            click.echo("Every database is owned by the role of its platform already.")
            return
        for move in moves:
            access = ", open to every role" if move.is_open else ""
            click.echo(f"{move.database.name}: owned by {move.database.role}{access}; {move.role} becomes the owner")
        if not yes:
            click.confirm(f"Move {_databases(len(moves))}?", abort=True)
        for move in moves:
            move_database(services, roles, move)
            click.echo(f"Moved {move.database.name}")
    click.echo("When all are moved, set PLATFORM_ROLES=on and restart the gateway.")


@click.command()
def mend() -> None:
    """Repair what a crash has left in DATA_DIR and PostgreSQL.

    Compares the records with the databases, and prints what it has repaired. A gateway does the same when it starts.
    """
    from gateway.operations.reconcile import reconcile  # noqa: PLC0415 - only this command needs it

    with opened_services(read_settings()) as services:
        for line in reconcile(services) or ("There is nothing to repair.",):
            click.echo(line)


def _owners(platform: str, schema_name: str | None, ids: Sequence[str]) -> Sequence[DatabaseOwner]:
    """Return the owners of the databases with these *ids*; without any, that of the platform's main database."""
    from gateway.naming import schema_database, tenant_database  # noqa: PLC0415 - only one command needs these

    if schema_name:
        named = [schema_database(platform, schema_name, one) for one in ids]
    else:
        named = [tenant_database(platform, one) for one in ids or (None,)]
    return list(dict.fromkeys(named))


def _of_every_owner(settings: Settings) -> Settings:
    """Return *settings* for work on databases of every owner, as the gateway's own role."""
    return dataclasses.replace(settings, platform_roles=False)


def _databases(count: int) -> str:
    return "this database" if count == 1 else f"these {count} databases"


def _description(owner: DatabaseOwner) -> str:
    if owner.schema_name:
        role = f"database {owner.database_id} of schema {owner.schema_name}"
    else:
        role = f"tenant {owner.tenant_id}" if owner.tenant_id else "the main database"
    return f"{role} of platform {owner.platform}"
