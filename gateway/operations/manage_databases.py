"""Create empty databases for owners, and adopt those that an earlier gateway or a person made."""

from __future__ import annotations

from gateway.errors import DatabaseAlreadyExists, DatabaseNotRecorded, InvalidRequest
from gateway.naming import DatabaseOwner, owner_facts, tenant_database
from gateway.operations.deploy import deploy_turn
from gateway.services import Services


def create_empty_database(services: Services, owner: DatabaseOwner) -> str:
    """Make *owner*'s database with nothing in it, and give its name.

    :raises DatabaseAlreadyExists: the owner has it
    :raises DatabaseNameConflict: the name is somebody else's
    """
    with deploy_turn(services):
        services.lifecycle.create(owner, lambda _connection: None)
    return owner.database_name


def find_adoptable(services: Services, platform: str) -> tuple[DatabaseOwner, ...]:
    """Whose the databases without a stamp would be whose names begin as those of *platform* do.

    The ids of tenants are taken from the databases' names, in which an id like ``clinic-001`` is ``clinic_001``.

    :raises InvalidRequest: *platform* is no name of a platform
    """
    main = tenant_database(platform).database_name
    beginning = main.removesuffix("main")
    found = []
    for name in services.directory.unstamped():
        if not name.startswith(beginning):
            continue
        try:
            owner = tenant_database(platform, name.removeprefix(beginning))
        except InvalidRequest:  # no tenant is called so
            continue
        if owner.database_name == name:
            found.append(owner)
    return tuple(found)


def check_adoptable(services: Services, owner: DatabaseOwner) -> None:
    """Look whether *owner*'s database is there and could be adopted.

    :raises DatabaseAlreadyExists: it is the owner's already
    :raises DatabaseNotFound, DatabaseNameConflict: there is none, or it is somebody else's
    """
    try:
        services.directory.find(owner)
    except DatabaseNotRecorded:
        return
    raise DatabaseAlreadyExists(
        f"the database {owner.database_name!r} is recorded as this one's already", **owner_facts(owner)
    )


def adopt_database(services: Services, owner: DatabaseOwner) -> None:
    """Stamp *owner*'s database.

    :raises DatabaseAlreadyExists, DatabaseNotFound, DatabaseNameConflict: as for :func:`check_adoptable`
    """
    services.lifecycle.adopt(owner, lambda _connection: None)
