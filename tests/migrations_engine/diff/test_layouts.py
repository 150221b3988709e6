"""Cases of the corpus as applications write them: a file per object, everything in one file, migrations alone.

Some of them; ``TEST_LAYOUTS_EVERY=1`` takes all.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from gateway.databases.catalog import drop_database
from migrations_engine.source.statements import split
from tests.migrations_engine.conftest import Tenant
from tests.support.servers import ServerUrls, server_versions

from .conftest import Laboratory, comparable, spelled
from .corpus import CASES, OBJECT_CASES, Case

EVERY = int(os.environ.get("TEST_LAYOUTS_EVERY", "75"))
(VERSION,) = server_versions(18)


_OF_A_SUPERUSER = ("#", "vector", "OPERATOR CLASS", "OPERATOR FAMILY", "TEXT SEARCH PARSER", "TEXT SEARCH TEMPLATE")


def is_done(case: Case, way: str) -> bool:
    """Whether an ordinary role can have it, and a deploy does the whole of it."""
    text = case.one + case.other
    of_a_superuser = any(words in text for words in _OF_A_SUPERUSER)
    by_people = case.named or case.alike or case.alone or of_a_superuser or "DROP " in text or case.since > VERSION
    if by_people or (case.stays and way == "back"):
        return False
    changes = case.there if way == "there" else case.back
    return all(text.startswith("safe ") and " drop_type " not in text for text in changes)


SAMPLE = [(case, way) for case in (*CASES, *OBJECT_CASES) for way in ("there", "back") if is_done(case, way)][::EVERY]


def a_file_per_object(text: str) -> dict[str, str]:
    folders = {"TYPE": "types", "DOMAIN": "types", "FUNCTION": "functions"}
    return {
        f"{folders.get((*statement.words, '', '')[1], 'tables')}/{number:02}.pssql": statement.text + ";"
        for number, statement in enumerate(split(text))
    }


def one_file(text: str) -> dict[str, str]:
    return {"tables/all.pssql": text}


@pytest.fixture(scope="session")
def laboratory(laboratories: Callable[[int], tuple[Laboratory, Laboratory]]) -> Laboratory:
    return laboratories(VERSION)[0]


@pytest.fixture
def make_tenant(server_urls: Callable[[int], ServerUrls]) -> Iterator[Callable[[], Tenant]]:
    url, names = server_urls(VERSION).ordinary, []
    with psycopg.connect(url, autocommit=True) as admin:

        def make() -> Tenant:
            names.append(f"test_layouts_{os.getpid()}_{len(names)}")
            admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(names[-1])))
            return Tenant(make_conninfo(url, dbname=names[-1]))

        yield make
        for name in names:
            drop_database(admin, name)


def versions(laboratory: Laboratory, case: Case, way: str, layout: str) -> tuple[dict[str, str], dict[str, str]]:
    one, other = (spelled(case, text) for text in (case.one, case.other)[:: 1 if way == "there" else -1])
    if layout == "migrations":
        statements = b";\n".join(laboratory.change(case, way).statements).decode()
        first = {"migrations/001.pssql": one} if one.strip() else {}
        return first, first | {"migrations/002.pssql": statements or "SELECT 1"}
    files = one_file if layout == "one file" else a_file_per_object
    return files(one), files(other)


@pytest.mark.parametrize("layout", ["a file per object", "one file", "migrations"])
@pytest.mark.parametrize(("case", "way"), SAMPLE, ids=[f"{case.name}, {way}" for case, way in SAMPLE])
def test_an_old_database_is_what_a_new_one_is(
    laboratory: Laboratory, make_tenant: Callable[[], Tenant], case: Case, way: str, layout: str
):
    before, after = versions(laboratory, case, way, layout)
    old, new = make_tenant(), make_tenant()
    old.register(before)
    rows = case.rows if way == "there" else case.rows_back
    if rows and layout != "migrations":
        old.execute(rows)
    report = old.migrate(after)
    new.register(after)
    assert report.differences == ()
    assert comparable(old.catalog()) == comparable(new.catalog())
    assert old.migrate(after | {"seeders/none.pssql": ""}).schema_validation.is_empty
