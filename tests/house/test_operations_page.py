"""docs/operations.md: its commands work as printed, and every error has a remedy."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from gateway.api.errors import ERROR_TABLE
from tests.support.running_gateway import Gateway

TEXT = (Path(__file__).parents[2] / "docs/operations.md").read_text(encoding="utf-8")


def blocks(heading: str) -> list[tuple[str, str]]:
    """The language and the text of every code block of a section."""
    section = TEXT.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    return [
        (language, textwrap.dedent(text)) for language, text in re.findall(r"```(\w+)\n(.*?)```", section, re.DOTALL)
    ]


def test_every_error_has_a_cause_and_a_remedy() -> None:
    table = TEXT.partition("## Errors: cause and remedy")[2]
    for row in ERROR_TABLE:
        assert re.search(rf"^\| .*\b{row.status} (`\w+`, )?`{row.code}`.* \| .+ \| .+ \|$", table, re.MULTILINE), (
            row.code
        )
    assert "| `query_failed` |" in table


@pytest.fixture
def made_by_others(superuser_url: str, platform: str) -> Iterator[str]:
    """Databases of a role of its own, as an earlier gateway has left them; the role."""
    role = f"{platform}_old"
    with psycopg.connect(superuser_url, autocommit=True) as session:
        session.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(role)))
        names = [f"{platform}_clinic_001", f"{platform}_main"]
        for name in names:
            session.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(name), sql.Identifier(role)))
            with psycopg.connect(make_conninfo(superuser_url, dbname=name), autocommit=True) as inside:
                inside.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(role)))
                inside.execute("CREATE SCHEMA app CREATE TABLE notes (id int)")
        yield role
        for name in names:
            session.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
        session.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))


@pytest.mark.skipif(shutil.which("curl") is None, reason="the document uses curl")
def test_the_move_from_an_earlier_gateway(
    gateway: Gateway, platform: str, made_by_others: str, superuser_url: str, tmp_path: Path
) -> None:
    postgres_url = gateway.environment["DATABASE_URL"]
    role = conninfo_to_dict(postgres_url)["user"]
    commands = blocks("Moving from an earlier gateway")
    (statements,) = [text for language, text in commands if language == "sql"]
    for name in (f"{platform}_clinic_001", f"{platform}_main"):
        with psycopg.connect(make_conninfo(superuser_url, dbname=name), autocommit=True) as session:
            own = statements.replace("myapp_clinic_001", name).replace("stonescriptdb_gateway", role)
            session.execute(own.replace("old_role", f'"{made_by_others}"'))

    (tmp_path / "postgresql/functions").mkdir(parents=True)
    (tmp_path / "postgresql/functions/one.sql").write_text(
        "CREATE FUNCTION one() RETURNS int LANGUAGE sql AS 'SELECT 1'"
    )
    environment = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "HOME": "/", "DATABASE_URL": postgres_url,
        "DATA_DIR": str(tmp_path / "data"), "DB_GATEWAY_URL": gateway.url,
    }  # fmt: skip

    def type_in(text: str) -> subprocess.CompletedProcess[str]:
        answered = text.replace("myapp", platform).replace("adopt ", "adopt --yes ")
        return subprocess.run(
            ["sh", "-e", "-c", answered], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )

    adopt, plan, status = [text for language, text in commands if language == "sh"]
    adopted = type_in(adopt)
    assert adopted.returncode == 0, adopted.stderr
    assert f"{platform}_clinic_001" in adopted.stdout
    assert f"{platform}_main" in adopted.stdout
    planned = type_in(plan)
    assert '"status":"completed"' in planned.stdout, planned.stdout + planned.stderr
    seen = type_in(status)
    assert seen.returncode == 3, seen.stderr  # they are not deployed yet
    assert f"{platform}_clinic_001" in seen.stdout
