"""A history: versions of a schema whose declarations and migrations agree, lag or disagree."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from hypothesis import strategies as st


class Declared(Protocol):
    """What the files of a version declare, of one kind of object; immutable."""

    def files(self) -> dict[str, str]: ...

    def edit(self, draw: st.DrawFn) -> Edit:
        """Draw the next change of this kind."""
        ...


@dataclass(frozen=True)
class Kind:
    """A kind of object, and how its histories begin."""

    name: str
    first: Declared
    rows: str = ""  #: inserted after the first version
    kept: str = "SELECT id FROM t ORDER BY id"  #: its result is the same after every deploy


@dataclass(frozen=True)
class Edit:
    """A change in the declaration, in a migration, or in both."""

    declares: Declared
    migrates: str = ""
    only: str = ""  #: "declaration", "migration" or "both", where nothing else makes sense


@dataclass(frozen=True, repr=False)
class Version:
    declared: Declared
    migrations: tuple[str, ...] = ()

    def files(self) -> dict[str, str]:
        return self.declared.files() | {f"migrations/{n:03}.pssql": text for n, text in enumerate(self.migrations, 1)}

    def __repr__(self) -> str:
        return repr(self.files())


@st.composite
def histories(draw: st.DrawFn, first: Declared) -> list[Version]:
    """Draw two to six versions, the first as *first* declares it."""
    versions = [Version(first)]
    for _ in range(draw(st.integers(1, 5))):
        declared, migrations = versions[-1].declared, list(versions[-1].migrations)
        for _ in range(draw(st.integers(1, 3))):
            edit = declared.edit(draw)
            where = edit.only or draw(st.sampled_from(["declaration", "migration", "both"]))
            if where != "migration":
                declared = edit.declares
            if where != "declaration" and edit.migrates:
                migrations.append(edit.migrates)
        versions.append(Version(declared, tuple(migrations)))
    return versions
