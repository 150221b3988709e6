"""Create: an empty database for an owner, which a register or migrate then fills."""

from __future__ import annotations

from gateway.naming import DatabaseOwner
from gateway.operations.services import Services, deploy_turn


def create_empty_database(services: Services, owner: DatabaseOwner) -> str:
    """Make *owner*'s database with nothing in it, and give its name.

    :raises DatabaseAlreadyExists: the owner has it
    :raises DatabaseNameConflict: the name is somebody else's
    """
    with deploy_turn(services):
        services.maker.create(owner, lambda _connection: None)
    return owner.database_name
