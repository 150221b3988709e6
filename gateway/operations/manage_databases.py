"""Create and drop databases, and adopt those that were created by an earlier gateway or by hand."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from functools import partial
from typing import Final

from gateway.errors import (
    DatabaseAlreadyExists,
    DatabaseNotFound,
    DatabaseNotRecorded,
    InvalidRequest,
    PlatformAlreadyRegistered,
    PlatformNotFound,
)
from gateway.naming import DatabaseOwner, check_name, owner_facts, schema_database, tenant_database
from gateway.operations.deploy import deploy_turn
from gateway.services import Services

_log: Final = logging.getLogger(__name__)


def create_empty_database(services: Services, owner: DatabaseOwner) -> str:
    """Create an empty database for *owner*, and return its name.

    :raises DatabaseAlreadyExists: the owner has it
    :raises DatabaseNameConflict: the name is another owner's
    """
    with deploy_turn(services):
        services.lifecycle.create(owner, lambda _connection: None)
    return owner.database_name


def create_from_template(services: Services, owner: DatabaseOwner, template: str) -> str:
    """Create *owner*'s database as a copy of the database *template*, and return its name.

    :raises DatabaseNotFound: *template* is not a database of the owner's platform and not in SHARED_TEMPLATES; whether
        there is a database of the name is not revealed
    :raises InvalidRequest: it is another platform's, whose role owns what is in it
    :raises DatabaseAlreadyExists, DatabaseNameConflict: there is a database of the owner's name
    :raises ConnectionFailed: a session is connected to the template
    """
    made_by = services.directory.owner_of(template)
    is_own = made_by is not None and made_by.platform == owner.platform
    if not is_own and services.roles is not None:
        raise InvalidRequest("with PLATFORM_ROLES a tenant can only be a copy of a database of its own platform")
    if not is_own and template not in services.settings.shared_templates:
        raise DatabaseNotFound(
            f"the template {template!r} is neither a database of this platform nor one of SHARED_TEMPLATES",
            platform=owner.platform,
        )
    with deploy_turn(services):
        services.lifecycle.create_copy(owner, template)
    return owner.database_name


def drop_database(services: Services, owner: DatabaseOwner, confirmation: str) -> str:
    """Drop *owner*'s database, terminate the sessions in it, and return its name.

    :param confirmation: the database's name, written once more
    :raises InvalidRequest: *confirmation* is another name
    :raises DatabaseNotFound, DatabaseNameConflict: there is no such database, or it is not the owner's
    """
    name = owner.database_name
    if confirmation != name:
        raise InvalidRequest.of_field(
            "confirm", f"confirm must repeat the name of the database to be dropped, {name!r}"
        )
    with deploy_turn(services):
        services.lifecycle.drop(owner)
    services.directory.forget(owner)
    _log.warning("database dropped", extra={**owner_facts(owner)})
    return name


def find_adoptable(services: Services, platform: str, schema_name: str | None = None) -> tuple[DatabaseOwner, ...]:
    """Return the owners that databases without a stamp would get, if their names begin with the name of *platform*.

    The ids are taken from the databases' names, in which an id like ``clinic-001`` is ``clinic_001``.

    :param schema_name: of version 2; without it they belong to the stored schema whose name follows in theirs, or else
        they are tenants
    :raises InvalidRequest: *platform* is no name of a platform
    """
    check_name(platform, field="platform")
    if schema_name is not None:
        kinds = [partial(schema_database, platform, schema_name)]
    else:
        stored = sorted(_stored_schemas(services, platform), key=len, reverse=True)
        kinds = [*(partial(schema_database, platform, one) for one in stored), partial(tenant_database, platform)]
    found = (_owner_by_name(name, kinds) for name in services.directory.unstamped())
    return tuple(owner for owner in found if owner is not None)


def _stored_schemas(services: Services, platform: str) -> Collection[str]:
    try:
        return services.platforms.get(platform).schemas
    except PlatformNotFound:
        return ()


def _owner_by_name(name: str, kinds: Iterable[Callable[[str], DatabaseOwner]]) -> DatabaseOwner | None:
    """Return the owner whose database has *name*, of the first possible kind.

    :param kinds: functions that return the owner with an id
    """
    for owner_of in kinds:
        with suppress(InvalidRequest):  # not an id
            prefix = owner_of("main").database_name.removesuffix("main")
            if name.startswith(prefix) and (owner := owner_of(name.removeprefix(prefix))).database_name == name:
                return owner
    return None


def check_adoptable(services: Services, owner: DatabaseOwner) -> None:
    """Check that *owner*'s database exists and can be adopted.

    :raises DatabaseAlreadyExists: it is the owner's already
    :raises DatabaseNotFound, DatabaseNameConflict: it does not exist, or is another owner's
    """
    try:
        services.directory.find(owner)
    except DatabaseNotRecorded:
        return
    raise DatabaseAlreadyExists(
        f"the database {owner.database_name!r} has this owner already; there is nothing to adopt", **owner_facts(owner)
    )


def adopt_database(services: Services, owner: DatabaseOwner) -> None:
    """Stamp *owner*'s database. The platform of a database of version 2 is registered, unless it is.

    :raises DatabaseAlreadyExists, DatabaseNotFound, DatabaseNameConflict: as for :func:`check_adoptable`
    :raises StorageFailed: the platform could not be recorded; the next start does it
    """
    services.lifecycle.adopt(owner, lambda _connection: None)
    if owner.schema_name is not None:
        with suppress(PlatformAlreadyRegistered):
            services.platforms.register(owner.platform)
