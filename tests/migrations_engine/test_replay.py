"""A deploy repeated in databases that are equal to the first one has the same result, or the whole deploy runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import psycopg
import pytest

from migrations_engine import EngineError, ProvenDeploys
from migrations_engine.catalog import read_catalog, read_mark
from migrations_engine.deploy.blockers import LockWait
from migrations_engine.replay import _begin, repeat
from migrations_engine.tracking import read_state
from tests.migrations_engine.conftest import Tenant

FIRST = {
    "types/mood.sql": "CREATE TYPE mood AS ENUM ('sad', 'ok');",
    "tables/users.sql": "CREATE TABLE users (id int PRIMARY KEY, name text, mood mood);",
    "tables/orders.sql": "CREATE TABLE orders (id serial PRIMARY KEY, user_id int REFERENCES users);",
    "functions/all_users.sql": "CREATE FUNCTION all_users() RETURNS SETOF users LANGUAGE sql AS 'SELECT * FROM users';",
    "functions/old.sql": "CREATE FUNCTION old() RETURNS int LANGUAGE sql AS 'SELECT 1';",
    "seeders/users.sql": "INSERT INTO users (id, name) VALUES (1, 'root');",
}
THEN = {
    **FIRST,
    "types/mood.sql": "CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');",
    "tables/items.sql": "CREATE TABLE items (id int PRIMARY KEY, mood mood, CHECK (id > 0));",
    "migrations/1.sql": "SET search_path = public; ALTER TABLE users ADD COLUMN age int; UPDATE users SET age = id;",
    "migrations/2.sql": (
        "CREATE INDEX ON users (age); COMMENT ON TABLE users IS 'so they say'; GRANT SELECT ON users TO pg_monitor;"
    ),
    "functions/moods.sql": (
        "CREATE FUNCTION moods(p mood) RETURNS SETOF items LANGUAGE sql AS 'SELECT * FROM items WHERE mood = p';"
    ),
}
del THEN["functions/old.sql"]


@pytest.fixture
def repeated(monkeypatch) -> list[bool]:
    """For each deploy that had something to repeat, whether it did."""
    found = []

    def watched(*arguments: Any) -> Any:
        start = _begin(*arguments)
        found.extend([False] if start is not None else [])
        return start

    def committed(*arguments: Any) -> Any:
        report = repeat(*arguments)
        if report is not None:
            found[-1] = True
        return report

    monkeypatch.setattr("migrations_engine.replay._begin", watched)
    monkeypatch.setattr("migrations_engine.engine.repeat", committed)
    return found


@pytest.fixture
def pair(make_database: Callable[[], str]) -> tuple[Tenant, Tenant]:
    """Two new, empty databases, whose objects get other oids."""
    one, other = Tenant(make_database()), Tenant(make_database())
    other.execute("CREATE TABLE x (a int); DROP TABLE x")
    return one, other


def tracked(tenant: Tenant) -> Mapping[str, Any]:
    with psycopg.connect(tenant.conninfo) as connection:
        state = read_state(connection)
        assert all(function.intact for function in state.functions)
        assert state.last["mark"] == read_mark(connection)
        assert state.last["fingerprint"] == read_catalog(connection).fingerprint()
    changes = tenant.rows(
        "SELECT change_type, object_name, change_detail, platform, request_id"
        " FROM _stonescriptdb_gateway_changelog ORDER BY id"
    )
    rows = tenant.rows("SELECT table_name, checksum, definition - 'mark' FROM _stonescriptdb_gateway_tables ORDER BY 1")
    functions = [(one.identity, one.checksum, one.file) for one in state.functions]
    return {"migrations": state.migrations, "functions": functions, "changes": changes, "tables": rows}


def test_a_repeated_deploy_leaves_and_reports_what_a_whole_one_does(pair, repeated):
    proven = ProvenDeploys()
    for tenant in pair:
        tenant.register(FIRST)
    reports = [tenant.migrate(THEN, proven=proven, platform="p", request_id="r") for tenant in pair]
    assert repeated == [True]
    assert reports[0] == reports[1]
    assert reports[1].migrations_applied == 2
    first, second = (tracked(tenant) for tenant in pair)
    assert first == second
    assert pair[1].rows("SELECT id, age FROM users") == [(1, 1)]
    again = pair[1].migrate(THEN)
    assert (again.migrations_applied, again.functions_updated) == (0, 0)


def test_one_that_was_changed_by_hand_is_compared(pair, repeated):
    proven = ProvenDeploys()
    for tenant in pair:
        tenant.register(FIRST)
    pair[1].execute("ALTER TABLE users DROP COLUMN name")
    pair[0].migrate(THEN, proven=proven)
    report = pair[1].migrate(THEN, proven=proven)
    assert repeated == []
    assert [(change.table, change.column) for change in report.schema_validation.safe_changes][-1:] == [
        ("users", "name")
    ]


def test_one_that_was_only_touched_is_not_compared_but_once(pair, repeated):
    proven = ProvenDeploys()
    for tenant in pair:
        tenant.register(FIRST)
    pair[1].execute("TRUNCATE orders")
    for tenant in pair:
        tenant.migrate(THEN, proven=proven)
    assert repeated == [True]
    assert tracked(pair[0])["tables"] == tracked(pair[1])["tables"]


def test_a_migration_that_does_something_else_with_other_rows_runs_in_a_whole_deploy(pair, repeated):
    proven = ProvenDeploys()
    schema = {"tables/t.sql": "CREATE TABLE t (a int);"}
    for tenant in pair:
        tenant.register(schema)
    pair[1].execute("INSERT INTO t VALUES (1)")
    either, other = "ALTER TABLE t ADD x int", "ALTER TABLE t ADD y int"
    change = f"DO $$ BEGIN IF EXISTS (SELECT FROM t) THEN {either}; ELSE {other}; END IF; END $$"
    for tenant in pair:
        tenant.migrate(schema | {"migrations/1.sql": change}, proven=proven)
    assert repeated == [False]
    columns = "SELECT attname::text FROM pg_attribute WHERE attrelid = 't'::regclass AND attnum > 1"
    assert pair[0].rows(columns) == [("y",)]
    assert ("x",) in pair[1].rows(columns)


@pytest.mark.parametrize(
    ("change", "force", "at_risk"),
    [
        ({"migrations/1.sql": "ALTER TABLE t DROP COLUMN b"}, False, 2),
        ({"migrations/1.sql": "ALTER TABLE t DROP COLUMN b; CREATE TABLE u ()"}, True, 2),
        ({"migrations/1.sql": "DROP TABLE t", "tables/t.sql": ""}, False, 2),
        ({"tables/t.sql": "CREATE TABLE t (a int);"}, True, 2),
        ({"tables/t.sql": "CREATE TABLE t (a int, b smallint);"}, True, 1),
        ({"tables/t.sql": "CREATE TABLE t (a int, b int, CHECK (a > 0));"}, False, None),
        ({"tables/t.sql": "CREATE TABLE t (a int UNIQUE, b int);"}, False, None),
    ],
)
def test_rows_at_risk_are_counted_in_each_database(make_database, repeated, change, force, at_risk):
    first, second, whole = tenants = [Tenant(make_database()) for _ in range(3)]
    schema = {"tables/t.sql": "CREATE TABLE t (a int, b int);"}
    for tenant in tenants:
        tenant.register(schema)
    for tenant in (second, whole):
        tenant.execute("INSERT INTO t VALUES (1, 1), (2, 100000)")
    proven = ProvenDeploys()
    changed = {**schema, "migrations/1.sql": "ALTER TABLE t ADD c int", **change}
    first.migrate(changed, proven=proven, force=force)
    report = second.migrate(changed, proven=proven, force=force)
    assert repeated == [True]
    assert report == whole.migrate(changed, force=force)
    assert [one.rows_at_risk for one in report.schema_validation.dataloss_changes] == ([at_risk] if at_risk else [])
    records = [tracked(tenant) for tenant in tenants]
    assert records[0] == records[1] == records[2]


@pytest.mark.parametrize("force", [True, False])
def test_rows_that_decide_about_statements_are_not_repeated(pair, repeated, force):
    proven = ProvenDeploys()
    schema = {"tables/t.sql": "CREATE TABLE t (a int);"}
    for tenant in pair:
        tenant.register(schema)
    pair[1].execute("INSERT INTO t VALUES (-1)")
    changed = {"tables/t.sql": "CREATE TABLE t (a int, CHECK (a > 0));"}
    pair[0].migrate(changed, proven=proven, force=force)
    if force:
        report = pair[1].migrate(changed, proven=proven, force=force)
        assert [one.rows_at_risk for one in report.schema_validation.dataloss_changes] == [1]
    else:
        with pytest.raises(EngineError, match="violate it, 1 row at risk"):
            pair[1].migrate(changed, proven=proven)
    assert repeated == [False]


def test_rows_that_cannot_be_counted_in_time_are_left_to_the_whole_deploy(pair, repeated, monkeypatch):
    proven = ProvenDeploys()
    schema = {"tables/t.sql": "CREATE TABLE t (a int, b int);"}
    for tenant in pair:
        tenant.register(schema)
    changed = {**schema, "migrations/1.sql": "ALTER TABLE t DROP COLUMN b"}
    pair[0].migrate(changed, proven=proven)
    pair[1].execute("INSERT INTO t SELECT n, n FROM generate_series(1, 300000) AS n")
    monkeypatch.setattr("migrations_engine.replay.ROW_COUNT_TIMEOUT_MS", 1)
    report = pair[1].migrate(changed, proven=proven)
    assert repeated == [False]
    assert report.schema_validation.dataloss_changes[0].rows_at_risk == 300000


@pytest.mark.parametrize(
    ("migration", "rows"),
    [
        ("CREATE UNIQUE INDEX u ON t (a)", "(1), (1)"),
        ("ALTER TABLE t ADD CHECK (a > 0)", "(-1)"),
        ("ALTER TABLE t ADD COLUMN c int NOT NULL", "(1)"),
        ("ALTER TABLE t ALTER a SET NOT NULL", "(NULL)"),
        ("UPDATE t SET a = 1 / a", "(0)"),
    ],
)
def test_what_rows_of_one_database_refuse_fails_there_as_ever(pair, repeated, migration, rows):
    proven = ProvenDeploys()
    schema = {"tables/t.sql": "CREATE TABLE t (a int);"}
    for tenant in pair:
        tenant.register(schema)
    pair[1].execute(f"INSERT INTO t VALUES {rows}")
    changed = schema | {"migrations/1.sql": migration}
    pair[0].migrate(changed, proven=proven)
    with pytest.raises(EngineError) as failure:
        pair[1].migrate(changed, proven=proven)
    assert failure.value.file == "migrations/1.sql"
    assert True not in repeated


def test_a_seeded_row_that_is_missing_is_found(pair, repeated):
    proven = ProvenDeploys()
    for tenant in pair:
        tenant.register(FIRST)
    pair[1].execute("DELETE FROM users")
    pair[0].migrate(THEN, proven=proven)
    with pytest.raises(EngineError, match=r"seeders/users.sql"):
        pair[1].migrate(THEN, proven=proven)
    assert repeated == [False]


def test_without_its_stamp_none_is_committed(pair, repeated):
    proven = ProvenDeploys()
    for tenant in pair:
        tenant.register(FIRST)
    name = psycopg.conninfo.conninfo_to_dict(pair[1].conninfo)["dbname"]
    comment = f"""DO $$ BEGIN IF current_database() = '{name}' THEN
        EXECUTE format('COMMENT ON DATABASE %I IS %L', current_database(), 'mine'); END IF; END $$"""
    changed = FIRST | {"migrations/1.sql": comment}
    pair[0].migrate(changed, proven=proven)
    with pytest.raises(EngineError, match="the deploy changed the comment"):
        pair[1].migrate(changed, proven=proven)
    assert repeated == [False]
    assert pair[1].rows("SELECT count(*) FROM _stonescriptdb_gateway_migrations") == [(0,)]


def test_other_starting_points_are_proven_on_their_own(make_database, repeated):
    proven = ProvenDeploys()
    older = {label: text for label, text in FIRST.items() if label != "functions/old.sql"}
    tenants = [Tenant(make_database()) for _ in range(4)]
    for tenant, schema in zip(tenants, (FIRST, older, FIRST, older), strict=True):
        tenant.register(schema)
    reports = [tenant.migrate(THEN, proven=proven) for tenant in tenants]
    assert repeated == [True, True]
    assert [report.functions_dropped for report in reports] == [1, 0, 1, 0]


@pytest.mark.parametrize(
    ("either", "other"),
    [
        ("ALTER TABLE t ALTER a SET DEFAULT 1", "ALTER TABLE t ALTER a SET DEFAULT 2"),
        ("ALTER TABLE t ADD b mood", "ALTER TABLE t ADD b level"),
        ("DROP TRIGGER g ON t", "DROP TRIGGER g ON u"),
        ("CREATE INDEX i ON t (a)", "CREATE INDEX i ON t (x)"),
        ("CREATE VIEW v AS SELECT a FROM t", "CREATE VIEW v AS SELECT a FROM t WHERE a > 0"),
        ("CREATE POLICY p ON t USING (a > 0)", "CREATE POLICY p ON t USING (a < 9)"),
        ("COMMENT ON COLUMN t.a IS 'it'", "COMMENT ON COLUMN u.a IS 'it'"),
    ],
)
def test_another_result_with_other_rows_is_detected(pair, repeated, either, other):
    proven = ProvenDeploys()
    schema = {
        "types/enums.sql": "CREATE TYPE mood AS ENUM ('a'); CREATE TYPE level AS ENUM ('a');",
        "tables/1.sql": "CREATE TABLE t (a int, x int); CREATE TABLE u (a int, x int); CREATE TABLE w (a int);"
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';"
        "CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f();"
        "CREATE TRIGGER g BEFORE INSERT ON u FOR EACH ROW EXECUTE FUNCTION f();",
    }
    for tenant in pair:
        tenant.register(schema)
    pair[1].execute("INSERT INTO w VALUES (1)")
    change = f"DO $$ BEGIN IF EXISTS (SELECT FROM w) THEN {either}; ELSE {other}; END IF; END $$"
    changed = schema | {"migrations/1.sql": change}
    for tenant in pair:
        tenant.migrate(changed, proven=proven)
    assert repeated == [False]


def test_it_is_repeated_after_a_lock_timeout(pair, repeated, monkeypatch):
    proven = ProvenDeploys()
    for tenant in pair:
        tenant.register(FIRST)
    pair[0].migrate(THEN, proven=proven)
    with psycopg.connect(pair[1].conninfo) as other:
        other.execute("LOCK TABLE users IN ACCESS SHARE MODE")

        def other_ends(_: LockWait) -> bool:
            other.rollback()
            return True

        monkeypatch.setattr(LockWait, "goes_on", other_ends)
        pair[1].migrate(THEN, proven=proven, lock_timeout_ms=50)
    assert repeated == [False, True]
    assert tracked(pair[0]) == tracked(pair[1])
