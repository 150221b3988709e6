"""The options of a deploy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import psycopg

from migrations_engine.desired.desired_schema import DesiredSchemas
from migrations_engine.desired.scratch_databases import ScratchDatabases
from migrations_engine.proven_deploys import ProvenDeploys


@dataclass(frozen=True, kw_only=True)
class DeployOptions:
    """The options of a deploy, and its platform and request."""

    purpose: Literal["register", "migrate"] = (
        "register"  #: register fills empty tables, migrate checks that seeded rows exist
    )
    force: bool = False  #: leave dangerous differences as they are, and accept changed migrations
    dry_run: bool = False  #: do the work, roll it back, and return the plan
    add_seeds: bool = False  #: add missing rows that seeders define
    platform: str = ""  #: for the changelog
    request_id: str = ""  #: for the changelog
    lock_timeout_ms: int = 5000  #: limit of the wait of one statement for a lock
    wait_seconds: float = 120.0  #: limit of the wait for another deploy of the same database
    database_comment: str | None = None  #: the required comment of the database; the present one if None
    search_path: str = '"$user", public'
    scratch: ScratchDatabases | None = None  #: default: on the same server, with the connection's own parameters
    before_commit: Callable[[psycopg.Connection[Any]], None] | None = None  #: not called if there are several
    proven: ProvenDeploys | None = None  #: deploys of the same request, to be repeated
    desired_schemas: DesiredSchemas = field(default_factory=DesiredSchemas)  #: shared by the deploys of a process
