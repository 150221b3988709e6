"""Statements that reach beyond the schema's database are refused; what merely looks like one runs."""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path

import pytest

from migrations_engine.errors import SchemaExtractionFailed
from migrations_engine.schema import Schema, SchemaFile
from migrations_engine.source.archive import read_archive
from migrations_engine.source.folder import read_folder
from migrations_engine.source.server_statements import CheckedSchemas, server_statement
from migrations_engine.source.statements import split

REFUSED = {
    "CREATE DATABASE x": "CREATE DATABASE",
    "alter database x set search_path to a": "ALTER DATABASE",
    "DROP DATABASE IF EXISTS x": "DROP DATABASE",
    "DROP /* now */ DATABASE -- really\n x": "DROP DATABASE",
    "Create Role r": "CREATE ROLE",
    "ALTER USER current_user PASSWORD 'x'": "ALTER USER",
    "DROP USER mapping": "DROP USER",
    "ALTER GROUP g ADD USER u": "ALTER GROUP",
    "CREATE TABLESPACE t LOCATION '/x'": "CREATE TABLESPACE",
    "ALTER SYSTEM SET work_mem = '1GB'": "ALTER SYSTEM",
    "CREATE SUBSCRIPTION s CONNECTION 'x' PUBLICATION p": "CREATE SUBSCRIPTION",
    "COMMENT ON DATABASE x IS 'y'": "COMMENT ON DATABASE",
    "COMMENT ON ROLE x IS 'y'": "COMMENT ON ROLE",
    "COMMENT ON TABLESPACE x IS 'y'": "COMMENT ON TABLESPACE",
    "GRANT CONNECT, TEMP ON DATABASE x TO y": "GRANT ON DATABASE",
    "GRANT ALL PRIVILEGES ON DATABASE x TO y": "GRANT ON DATABASE",
    "REVOKE GRANT OPTION FOR ALL ON DATABASE x FROM y": "REVOKE ON DATABASE",
    "GRANT CREATE ON TABLESPACE x TO y": "GRANT ON TABLESPACE",
    "GRANT SET ON PARAMETER work_mem TO y": "GRANT ON PARAMETER",
    'GRANT admin, "Staff" TO joe': "GRANT of a role",
    "CREATE SCHEMA s CREATE TABLE t (a int) GRANT SELECT ON t TO a WITH GRANT OPTION GRANT ALL ON DATABASE x TO y": (
        "GRANT ON DATABASE"
    ),
    "REVOKE ADMIN OPTION FOR admin FROM joe": "REVOKE of a role",
    "SECURITY LABEL FOR selinux ON DATABASE x IS 'y'": "SECURITY LABEL ON DATABASE",
    "SECURITY LABEL ON ROLE x IS 'y'": "SECURITY LABEL ON ROLE",
    "SET ROLE x": "SET ROLE",
    "SET LOCAL role = 'x'": "SET ROLE",
    "SET SESSION AUTHORIZATION x": "SET SESSION AUTHORIZATION",
    "SET LOCAL SESSION AUTHORIZATION x": "SET SESSION AUTHORIZATION",
    "SET session_authorization TO x": "SET SESSION AUTHORIZATION",
    "REASSIGN OWNED BY x TO y": "REASSIGN OWNED",
    "DROP OWNED BY x": "DROP OWNED",
    "LOAD 'auto_explain'": "LOAD",
    "CHECKPOINT": "CHECKPOINT",
}

ALLOWED = (
    "SELECT 'DROP DATABASE x'",
    "SELECT $$; DROP DATABASE x; $$",
    "-- DROP DATABASE x\nSELECT 1",
    "/* ALTER SYSTEM */ SELECT 1",
    'CREATE TABLE "database" (role text, "user" text, tablespace text, system int, "group" int)',
    "CREATE TABLE role (id int)",
    "ALTER TABLE role ADD COLUMN database text",
    "DROP TABLE role",
    "COMMENT ON TABLE database IS 'DROP DATABASE x'",
    "COMMENT ON COLUMN role.database IS 'x'",
    "GRANT SELECT ON users TO app",
    "CREATE SCHEMA s GRANT SELECT ON t TO a WITH GRANT OPTION CREATE VIEW v AS SELECT 1 FROM database",
    "GRANT SELECT (role, database), UPDATE (a) ON role TO app",
    "GRANT SELECT ON database TO app",
    "GRANT SELECT ON database, role TO app",
    "GRANT SELECT ON ALL TABLES IN SCHEMA public TO app",
    "GRANT USAGE ON FOREIGN SERVER s TO app",
    "GRANT EXECUTE ON FUNCTION f(int) TO PUBLIC",
    "REVOKE ALL ON SCHEMA public FROM PUBLIC",
    "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO app",
    "CREATE USER MAPPING FOR app SERVER s",
    "CREATE USER MAPPING IF NOT EXISTS FOR app SERVER s",
    "ALTER USER MAPPING FOR app SERVER s OPTIONS (SET a 'b')",
    "DROP USER MAPPING IF EXISTS FOR app SERVER s",
    "CREATE POLICY p ON role TO app USING (true)",
    "CREATE PUBLICATION p FOR TABLE role",
    "SECURITY LABEL ON TABLE role IS 'x'",
    "ALTER TABLE t OWNER TO app",
    "SET search_path TO role",
    "SET statement_timeout = 0",
    "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE",
    "RESET ROLE",
    "DROP FUNCTION f",
    "CREATE EXTENSION IF NOT EXISTS pgcrypto",
    "INSERT INTO role VALUES ('DROP DATABASE x')",
    "DO $$ BEGIN EXECUTE 'CREATE ROLE x'; END $$",
)


@pytest.mark.parametrize("sql", REFUSED)
def test_statements_about_the_server_are_recognised(sql: str) -> None:
    (statement,) = split(sql)

    assert server_statement(statement) == REFUSED[sql]


@pytest.mark.parametrize("sql", ALLOWED)
def test_similar_statements_are_not(sql: str) -> None:
    assert [server_statement(statement) for statement in split(sql)] == [None]


@pytest.mark.parametrize("folder", ["types", "tables", "migrations", "functions", "seeders", "extensions"])
def test_an_archive_with_such_a_statement_is_refused_with_file_and_line(folder: str) -> None:
    buffer = io.BytesIO()
    content = b"SELECT 1;\n\nALTER ROLE current_user PASSWORD 'x';"
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        info = tarfile.TarInfo(f"{folder}/a.sql")
        info.size = len(content)
        archive.addfile(info, io.BytesIO(content))

    for _ in range(2):  # what was refused is not taken for looked through
        with pytest.raises(SchemaExtractionFailed) as caught:
            read_archive(gzip.compress(buffer.getvalue()))
        assert caught.value.file == f"{folder}/a.sql"
        assert caught.value.message.startswith(f"{folder}/a.sql, line 3: ALTER ROLE cannot be used, because a schema")


def test_a_folder_is_checked_too_and_statements_of_pg_dump_get_advice(tmp_path: Path) -> None:
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "a.sql").write_text("COMMENT ON DATABASE x IS 'y'")

    with pytest.raises(SchemaExtractionFailed, match="pg_dump leaves it out without --create"):
        read_folder(tmp_path)


def schema_of(content: bytes, name: str = "a") -> Schema:
    return Schema(tables=(SchemaFile(folder="tables", path=f"{name}.sql", content=content),))


def was_split(schema: Schema) -> bool:
    return any("script_of" in getattr(read, "__name__", "") for file in schema.files() for read in file._known)


def test_a_checked_schema_is_not_split_again_until_a_thousand_others_have_come() -> None:
    checked = CheckedSchemas()
    first, again, later = (schema_of(b"CREATE TABLE t (a int)") for _ in range(3))
    checked.check(first)
    checked.check(again)
    assert (was_split(first), was_split(again)) == (True, False)
    for number in range(1000):
        checked.check(schema_of(b"", str(number)))
    checked.check(later)
    assert was_split(later)


def test_a_refused_schema_is_refused_again() -> None:
    checked = CheckedSchemas()
    for _ in range(2):
        with pytest.raises(SchemaExtractionFailed, match="CREATE ROLE"):
            checked.check(schema_of(b"CREATE ROLE r"))
