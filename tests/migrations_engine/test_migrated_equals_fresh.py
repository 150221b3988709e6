"""A database that was migrated is the one that would have been made, and a second deploy leaves it in peace."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterator

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from migrations_engine import DeployOptions, deploy_schema
from tests.support.servers import require_vector, server_versions
from tests.support.structure import structure_of

from .conftest import Tenant, schema_of
from .evolutions import EVOLUTIONS, Evolution

_SENT = re.compile(r"\tF\t\d+\t(?:Query|Parse)\t (?:\"\" )?\"(.*?)\"\n(?=\d{4}-\d\d-\d\d )", re.DOTALL)
_COMMENTS = re.compile(r"--[^\n]*\n")


@pytest.fixture(params=server_versions(16, 18), ids=lambda version: f"pg{version}")
def make_tenant(request, server_urls) -> Iterator[Callable[[], Tenant]]:
    urls = server_urls(request.param)
    url = (
        urls.superuser if request.param < 18 else urls.ordinary
    )  # of what is installed here, a superuser may install all
    names: list[str] = []
    with psycopg.connect(url, autocommit=True) as admin:

        def make() -> Tenant:
            name = f"test_fresh_{request.param}_{len(names)}"
            admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
            names.append(name)
            return Tenant(make_conninfo(url, dbname=name))

        yield make
    with psycopg.connect(urls.superuser, autocommit=True) as superuser:
        for name in names:
            superuser.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.mark.parametrize("evolution", EVOLUTIONS, ids=lambda evolution: evolution.name)
def test_migrated_equals_fresh(make_tenant, evolution: Evolution):
    before, after = evolution.same | evolution.before, evolution.same | evolution.after
    migrated, fresh = make_tenant(), make_tenant()
    require_vector(migrated.conninfo, repr(after))
    migrated.register(before)
    if evolution.rows:
        migrated.execute(evolution.rows)
    migrated.migrate(after, force=evolution.force)
    fresh.register(after)
    assert structure_of(migrated.conninfo) == structure_of(fresh.conninfo)
    for tenant in (migrated, fresh):
        # The mark of objects that most applications have none of takes one statement more.
        assert statements_of(tenant, after) in (["BEGIN", *["SELECT"] * number, "COMMIT"] for number in (3, 4))
        report = tenant.migrate(after)
        assert report.schema_validation.is_empty
        assert (report.migrations_applied, report.functions_updated, report.functions_dropped) == (0, 0, 0)


def statements_of(tenant: Tenant, files: dict[str, str]) -> list[str]:
    """The first words of all statements that a deploy of *files* sends to the server."""
    with tempfile.TemporaryFile("w+") as trace, psycopg.connect(tenant.conninfo) as connection:
        connection.pgconn.trace(trace.fileno())
        deploy_schema(connection, schema_of(files), DeployOptions(purpose="migrate"))
        connection.pgconn.untrace()
        trace.seek(0)
        sent = [_COMMENTS.sub("", text) for text in _SENT.findall(trace.read())]
    return [text.split()[0] for text in sent]
