"""The routines of a database: functions, procedures and aggregates."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from psycopg import sql
from psycopg.rows import class_row

from migrations_engine.deploy.session import DeploySession
from migrations_engine.errors import FunctionDeployFailed
from migrations_engine.model import DEFAULT_SCHEMA
from migrations_engine.queries import load_queries

_QUERIES: Final = load_queries(__package__)
_STEP: Final = "functions"
HIDDEN_NAME: Final = "_stonescriptdb_gateway_replaced_"  #: prefix of the temporary name of a routine, before its oid

R = TypeVar("R", "MadeRoutine", "OldRoutine")


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeRoutine:
    """A routine that a file has created, as in the catalog."""

    oid: int
    version: str  #: changes whenever the routine is created or altered
    identity: str  #: as ``pg_identify_object`` prints it: every name qualified
    name: str
    schema: str
    kind: str  #: ``prokind``: f, p, a, w
    language: str
    argument_types: str  #: ``proargtypes``, unique together with schema and name
    arguments: list[str]
    result: str
    fingerprint: str

    @property
    def label(self) -> str:
        return self.name if self.schema == DEFAULT_SCHEMA else f"{self.schema}.{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class OldRoutine:
    """A routine that existed before and may have to be replaced."""

    oid: int
    schema: str
    name: str
    argument_types: str
    identity: str

    @property
    def hidden_name(self) -> str:
        """Its temporary name while another routine has its name."""
        return f"{HIDDEN_NAME}{self.oid}"


class Routines:
    """The routines of the database of *session*, without those of the system and of extensions."""

    def __init__(self, session: DeploySession) -> None:
        self._session = session

    def versions(self, names: Sequence[str] | None) -> set[str]:
        """Return the versions of the routines of these *names*; of all if None."""
        return {
            version for (version,) in self._session.query(_QUERIES["routine_versions"], {"names": names}).fetchall()
        }

    def made(self, names: Sequence[str] | None, before: Collection[str]) -> list[MadeRoutine]:
        """Return the routines of these *names*, of all if None, without the versions *before*."""
        return self._rows(MadeRoutine, "routines_made", names=names, before=list(before), oids=None)

    def as_they_are(self, oids: Sequence[int]) -> list[MadeRoutine]:
        """Read these routines again."""
        return self._rows(MadeRoutine, "routines_made", names=None, before=[], oids=list(oids))

    def named(self, names: Sequence[str]) -> list[OldRoutine]:
        return self._rows(OldRoutine, "routines_named", names=list(names))

    def aside(self) -> list[OldRoutine]:
        """Return the routines that have their temporary names."""
        return self._rows(OldRoutine, "routines_aside", prefix=HIDDEN_NAME)

    def of_identity(self, identity: str) -> list[OldRoutine]:
        """Return the routine of that identity, if it exists."""
        return self._rows(OldRoutine, "routine_by_identity", identity=identity)

    def oids(self, identities: Sequence[str]) -> list[tuple[str, int]]:
        """Return identity and oid of each existing routine of these identities."""
        return self._session.query(_QUERIES["routine_oids"], {"identities": list(identities)}).fetchall()

    def fingerprints(self, identities: Sequence[str]) -> dict[str, str]:
        """Return the fingerprint of each existing routine of these identities."""
        if not identities:
            return {}
        return dict(self._session.query(_QUERIES["routine_fingerprints"], {"identities": list(identities)}).fetchall())

    def move_aside(self, routine: OldRoutine) -> None:
        """Rename *routine*, so that another one can have its name. Its dependants keep using it."""
        self._rename(routine, routine.name, routine.hidden_name)

    def put_back(self, routine: OldRoutine) -> None:
        self._rename(routine, routine.hidden_name, routine.name)

    def dependants(self, routine: OldRoutine) -> list[str]:
        """Return the dependants of *routine*, as PostgreSQL describes them."""
        return [row[0] for row in self._session.query(_QUERIES["dependants"], {"oid": routine.oid}).fetchall()]

    def dependent_routines(self, routines: Iterable[OldRoutine]) -> set[str]:
        """Return the identities of routines that depend on some of *routines*."""
        oids = [routine.oid for routine in routines]
        return {row[0] for row in self._session.query(_QUERIES["dependent_routines"], {"oids": oids}).fetchall()}

    def drop_all(self, routines: Mapping[OldRoutine, str | None], *, aside: bool = False) -> None:
        """Drop *routines*, each before those that it uses.

        :param routines: each with the label of the file that replaces it
        :param aside: they have their temporary names
        :raises FunctionDeployFailed: another object depends on one
        """
        waiting = list(routines)
        while waiting:
            free = [routine for routine in waiting if not self.dependants(routine)]
            for routine in free or waiting:
                self._drop(routine, routine.hidden_name if aside else routine.name, file=routines[routine])
            waiting = [routine for routine in waiting if routine not in free]

    def _drop(self, routine: OldRoutine, name: str, *, file: str | None) -> None:
        if dependants := self.dependants(routine):
            raise FunctionDeployFailed(
                f"{routine.identity} has to be dropped, but other objects depend on it: {', '.join(dependants)}. "
                "Drop or change those in a migration first",
                file=file,
            )
        statement = sql.SQL("DROP ROUTINE IF EXISTS {}({})").format(
            sql.Identifier(routine.schema, name), self._types(routine.argument_types)
        )
        with self._session.failures_as(FunctionDeployFailed, what=f"dropping {routine.identity}"):
            self._session.run(statement, step=_STEP, file=file, effect=f"drops {routine.identity}")
        self._session.log("drop_function", routine.identity)

    def _rename(self, routine: OldRoutine, old: str, new: str) -> None:
        statement = sql.SQL("ALTER ROUTINE {}({}) RENAME TO {}").format(
            sql.Identifier(routine.schema, old), self._types(routine.argument_types), sql.Identifier(new)
        )
        self._session.query(statement)
        if self._session.recording is not None:
            self._session.recording.is_repeatable = False  # the temporary name contains an oid

    def _types(self, argument_types: str) -> sql.SQL:
        row = self._session.query(_QUERIES["argument_types"], {"argument_types": argument_types}).fetchone()
        assert row is not None
        return sql.SQL(row[0])

    def _rows(self, kind: type[R], query: str, **parameters: Any) -> list[R]:  # noqa: ANN401 - the driver's
        with self._session.connection.cursor(row_factory=class_row(kind)) as cursor:
            return cursor.execute(_QUERIES[query], parameters).fetchall()
