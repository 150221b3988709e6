"""Move databases from before PLATFORM_ROLES: the role of each platform becomes the owner."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.databases import ManagedDatabase, PlatformRoles
from gateway.databases.catalog import refusals
from gateway.databases.roles import hand_over, is_open_to_all
from gateway.naming import owner_facts
from gateway.services import Services


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """A database that another role owns or may connect to."""

    database: ManagedDatabase
    role: str  #: the new owner
    is_open: bool  #: PUBLIC may connect to it


def databases_to_move(services: Services) -> Sequence[Move]:
    """Return the stamped databases that another role owns, or to which PUBLIC may connect.

    :param services: without roles, so that databases of every owner are found
    """
    found = []
    for database in services.directory.all():
        role = PlatformRoles.role_of(database.owner.platform)
        with services.registry.lease(services.settings.maintenance_database) as session:
            is_open = is_open_to_all(session, database.name)
        if database.role != role or is_open:
            found.append(Move(database=database, role=role, is_open=is_open))
    return found


def move_database(services: Services, roles: PlatformRoles, move: Move) -> None:
    """Make the role of the platform the owner of its database, and of the gateway's objects in it.

    The role is created if it is missing. May be repeated, to move objects that the gateway's role has created since.

    :raises GatewayError: the gateway's role may not, or something in it belongs to a third role; nothing is changed
    """
    name, facts = move.database.name, owner_facts(move.database.owner)
    with (
        refusals("make a platform's role", **facts),
        services.registry.dedicated(services.settings.maintenance_database) as session,
    ):
        roles.ensure(session, move.database.owner.platform, renew=True)
    with (
        refusals("make a platform's role the owner of a database", **facts),
        services.registry.dedicated(name) as session,
    ):
        hand_over(session, move.role)


def renew_passwords(services: Services, roles: PlatformRoles) -> Sequence[str]:
    """Set the password of each platform's role to what *roles* derives now, and return the platforms.

    :raises GatewayError: the gateway's role may not
    """
    platforms = sorted({database.owner.platform for database in services.directory.all()})
    with (
        refusals("set a role's password"),
        services.registry.dedicated(services.settings.maintenance_database) as session,
    ):
        for platform in platforms:
            roles.ensure(session, platform, renew=True)
    return platforms
