"""Any history of declarations and migrations ends in the state of a new database, or reports the difference."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from migrations_engine import MigrationFailed
from tests.support.structure import structure_of

from .conftest import Tenant
from .test_any_evolution import make

__all__ = ["make"]

TYPES = ["smallint", "integer", "bigint", "numeric"]
VIEWS = [None, "SELECT a, b FROM t", "SELECT b, a FROM t", "SELECT a FROM t", "SELECT a, b, id FROM t"]


@dataclass(frozen=True)
class Declared:
    """The declaration in ``tables/``."""

    a: int = 0  #: a type of TYPES
    b: int = 0
    default: int | None = None  #: of a
    required: bool = False  #: b is NOT NULL
    extra: frozenset[str] = frozenset()  #: columns
    index: int = 0  #: 0: none, else one of two definitions
    check: int | None = None
    view: int = 0
    comment: int = 0
    other: bool = False  #: a second table

    def sql(self) -> str:
        parts = ["id int PRIMARY KEY", f"a {TYPES[self.a]}", f"b {TYPES[self.b]}"]
        parts[1] += f" DEFAULT {self.default}" if self.default is not None else ""
        parts[2] += " NOT NULL" if self.required else ""
        parts += [f"{name} text" for name in sorted(self.extra)]
        parts += [f"CONSTRAINT k CHECK (a > {self.check})"] if self.check is not None else []
        text = f"CREATE TABLE t ({', '.join(parts)});"
        text += ["", "CREATE INDEX i ON t (a);", "CREATE INDEX i ON t (a, b);"][self.index]
        text += f"CREATE VIEW v AS {VIEWS[self.view]};" if VIEWS[self.view] else ""
        text += f"COMMENT ON TABLE t IS '{self.comment}';" if self.comment else ""
        return text + ("CREATE TABLE u (x int); CREATE INDEX u_x ON u (x);" if self.other else "")


@dataclass(frozen=True)
class Version:
    declared: Declared
    migrations: tuple[str, ...] = ()

    def files(self) -> dict[str, str]:
        files = {"tables/t.pssql": self.declared.sql()}
        return files | {f"migrations/{n:03}.pssql": text for n, text in enumerate(self.migrations, 1)}


@dataclass(frozen=True)
class Edit:
    """A change in the declaration, in a migration, or in both."""

    declares: dict[str, object] = field(default_factory=dict)
    migrates: str = ""


ROOM = "DROP VIEW IF EXISTS v; "


@st.composite
def edits(draw: st.DrawFn, declared: Declared) -> Edit:
    what = draw(st.sampled_from(["type", "default", "extra", "index", "check", "view", "comment", "other", "required"]))
    new: dict[str, object] = {}
    sql = ""
    if what == "type":
        name = draw(st.sampled_from(["a", "b"]))
        width = draw(st.integers(getattr(declared, name), 3))
        new, sql = {name: width}, f"{ROOM}ALTER TABLE t ALTER {name} TYPE {TYPES[draw(st.integers(width, 3))]};"
    elif what == "default":
        value = draw(st.sampled_from([None, 1, 2]))
        new = {"default": value}
        other = draw(st.sampled_from([value, 3]))
        sql = f"ALTER TABLE t ALTER a {'DROP DEFAULT' if other is None else f'SET DEFAULT {other}'};"
    elif what == "extra":
        name = draw(st.sampled_from(["x", "y"]))
        if name in declared.extra:
            new, sql = {"extra": declared.extra - {name}}, f"{ROOM}ALTER TABLE t DROP COLUMN IF EXISTS {name};"
        else:
            new, sql = {"extra": declared.extra | {name}}, f"ALTER TABLE t ADD COLUMN IF NOT EXISTS {name} text;"
    elif what == "index":
        new = {"index": draw(st.integers(0, 2))}
        sql = draw(st.sampled_from(["DROP INDEX IF EXISTS i;", "CREATE INDEX IF NOT EXISTS i ON t (b);"]))
    elif what == "check":
        new = {"check": draw(st.sampled_from([None, -1, -2]))}
        sql = "ALTER TABLE t DROP CONSTRAINT IF EXISTS k;"
        sql += draw(st.sampled_from(["", "ALTER TABLE t ADD CONSTRAINT k CHECK (a > -3);"]))
    elif what == "view":
        new, sql = {"view": draw(st.integers(0, 4))}, ROOM
    elif what == "comment":
        new, sql = {"comment": draw(st.integers(0, 2))}, "COMMENT ON TABLE t IS 'migrated';"
    elif what == "other":
        new = {"other": not declared.other}
        sql = "DROP TABLE IF EXISTS u;" if declared.other else "CREATE TABLE IF NOT EXISTS u (x int);"
    else:
        new = {"required": not declared.required}
        sql = "ALTER TABLE t ALTER b DROP NOT NULL;"
        if not declared.required:
            sql = "UPDATE t SET b = 0 WHERE b IS NULL; ALTER TABLE t ALTER b SET NOT NULL;"
    destroys = (what in ("extra", "other") and "DROP" in sql) or (what == "required" and "SET NOT NULL" in sql)
    where = draw(st.sampled_from(["both", "migration"] if destroys else ["declaration", "migration", "both"]))
    return Edit(declares=new if where != "migration" else {}, migrates=sql if where != "declaration" else "")


@st.composite
def histories(draw: st.DrawFn) -> list[Version]:
    versions = [Version(Declared())]
    for _ in range(draw(st.integers(1, 5))):
        declared, migrations = versions[-1].declared, list(versions[-1].migrations)
        for _ in range(draw(st.integers(1, 3))):
            edit = draw(edits(declared))
            declared = replace(declared, **edit.declares)
            migrations += [edit.migrates] if edit.migrates else []
        versions.append(Version(declared, tuple(migrations)))
    return versions


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(history=histories())
def test_any_history(make, history: list[Version]):
    last = history[-1].files()
    fresh = make()
    fresh.register(last)
    wanted = structure(fresh)
    for versions in (history, [history[0], history[-1]]):
        tenant = make()
        tenant.register(versions[0].files())
        tenant.execute("INSERT INTO t VALUES (1, 1, NULL), (2, 2, 2)")
        for version in versions[1:]:
            before = tenant.catalog()
            try:
                report = tenant.migrate(version.files())
            except MigrationFailed as failure:
                validation = failure.validation
                assert validation is not None, failure
                assert validation.dataloss_changes or validation.incompatible_changes
                assert tenant.catalog() == before, "a refusal leaves no trace"
                break
        else:
            assert (structure(tenant) == wanted) == (not report.differences), report.differences
            again = tenant.migrate(last | {"seeders/none.pssql": ""})
            assert again.schema_validation.is_empty
            assert again.differences == report.differences
        assert tenant.rows("SELECT id FROM t ORDER BY id") == [(1,), (2,)]


def structure(tenant: Tenant) -> list[str]:
    return [re.sub(r"CONSTRAINT \w+_not_null NOT NULL", "NOT NULL", line) for line in structure_of(tenant.conninfo)]
