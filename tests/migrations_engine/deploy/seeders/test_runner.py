"""Seeders: into empty tables on register, looked for by key on migrate, however they are written."""

from __future__ import annotations

import pytest

from migrations_engine import MigrationFailed
from tests.migrations_engine.conftest import Tenant, files

ROLES = {
    "tables/roles.pssql": "CREATE TABLE roles"
    " (id serial PRIMARY KEY, name text UNIQUE, note text, made timestamptz DEFAULT now())",
    "seeders/roles.pssql": "INSERT INTO roles (id, name) VALUES (1, 'admin'), (2, 'user'), (3, 'guest');",
}


def test_a_missing_row_fails_the_migrate(tenant):
    tenant.register(ROLES)
    tenant.execute("DELETE FROM roles WHERE id = 2")
    with pytest.raises(MigrationFailed, match="1 of 3 rows") as failure:
        tenant.migrate(ROLES | {"migrations/001.pssql": "UPDATE roles SET note = 'x'"})
    assert not failure.value.verification.seeders_verified
    assert tenant.rows("SELECT count(*) FROM roles WHERE note IS NOT NULL") == [(0,)]
    report = tenant.register(ROLES)
    assert [(s.inserted, s.skipped) for s in report.seeders] == [(0, 3)]


def test_a_row_is_found_by_its_key_after_other_columns_changed(tenant):
    tenant.register(ROLES)
    tenant.execute("UPDATE roles SET name = 'boss' WHERE id = 1")
    assert [(v.expected, v.found) for v in tenant.migrate(ROLES).seeder_validations] == [(3, 3)]


def test_the_next_id_follows_the_seeded_ones(tenant):
    tenant.register(ROLES)
    tenant.execute("INSERT INTO roles (name) VALUES ('next')")
    assert tenant.rows("SELECT id FROM roles WHERE name = 'next'") == [(4,)]


@pytest.mark.parametrize(
    ("migration", "inserted", "total"),
    [
        ("INSERT INTO roles (id, name) VALUES (10, 'robot')", 3, 4),  # other rows than the seeder's
        ("INSERT INTO roles (id, name) VALUES (1, 'admin'), (2, 'user'), (3, 'guest')", 0, 3),  # the same
    ],
)
def test_a_new_table_that_a_migration_has_begun_to_fill_gets_the_seeded_rows_it_lacks(
    tenant, migration, inserted, total
):
    files = ROLES | {"migrations/001.pssql": migration}
    assert [(s.inserted, s.skipped) for s in tenant.register(files).seeders] == [(inserted, 3 - inserted)]
    assert tenant.rows("SELECT count(*) FROM roles") == [(total,)]
    assert [(v.expected, v.found) for v in tenant.migrate(files).seeder_validations] == [(3, 3)]
    assert [(s.inserted, s.skipped) for s in tenant.register(files).seeders] == [(0, 3)]
    if inserted:
        tenant.execute("INSERT INTO roles (name) VALUES ('next')")
        assert tenant.rows("SELECT id FROM roles WHERE name = 'next'") == [(11,)]


def test_a_seeded_row_that_does_not_fit_beside_a_migration_s_is_named_at_once(tenant):
    files = ROLES | {"migrations/001.pssql": "INSERT INTO roles (id, name) VALUES (10, 'admin')"}
    with pytest.raises(MigrationFailed, match=r"rows of table roles cannot be added, .*: id = 1$") as failure:
        tenant.register(files)
    assert failure.value.file == "seeders/roles.pssql"


@pytest.mark.parametrize(
    "migration",
    ["INSERT INTO roles (id, name) VALUES (2, 'user') ON CONFLICT DO NOTHING", "INSERT INTO roles VALUES (2, 'boss')"],
)
def test_rows_that_a_migration_has_put_in_keep_out_no_others(tenant, migration):
    files = ROLES | {"migrations/001.pssql": migration}
    assert [(s.inserted, s.skipped) for s in tenant.register(files).seeders] == [(2, 1)]
    assert tenant.rows("SELECT id FROM roles ORDER BY id") == [(1,), (2,), (3,)]
    assert tenant.migrate(files | {"migrations/002.pssql": "SELECT 1"}).verification.passed


@pytest.mark.parametrize(
    ("seeder", "expected"),
    [
        ("INSERT INTO plain VALUES (1, 'a'), (2, 'b'), (2, 'b')", [(1, "a"), (2, "b"), (2, "b")]),
        ("INSERT INTO plain (b) VALUES ('a'), ('x(,)')", [(1, "a"), (None, "x(,)")]),
    ],
)
def test_rows_without_a_key_are_added_one_by_one(tenant, seeder, expected):
    files = {
        "tables/plain.pssql": "CREATE TABLE plain (a int, b text)",
        "migrations/1.pssql": "INSERT INTO plain VALUES (1, 'a')",
        "seeders/plain.pssql": seeder,
    }
    tenant.register(files)
    assert sorted(tenant.rows("SELECT a, b FROM plain"), key=str) == sorted(expected, key=str)


def test_missing_rows_are_named_with_key_and_file(tenant):
    tenant.register(ROLES)
    tenant.execute("DELETE FROM roles WHERE id <> 2")
    with pytest.raises(MigrationFailed) as failure:
        tenant.migrate(ROLES | {"migrations/001.pssql": "SELECT 1"})
    assert failure.value.message.endswith(
        "id = 3 (seeders/roles.pssql). To add the missing rows, repeat the request with seed=insert"
    )
    assert failure.value.verification.error_log == (
        "2 of 3 rows that the seeders define for table roles are missing: "
        "id = 1 (seeders/roles.pssql); id = 3 (seeders/roles.pssql)",
    )
    tenant.migrate(ROLES | {"migrations/001.pssql": "SELECT 1"}, add_seeds=True)
    assert tenant.rows("SELECT count(*) FROM roles") == [(3,)]


@pytest.mark.parametrize("purpose", ["register", "migrate"])
def test_missing_rows_are_added_on_request(tenant, purpose):
    tenant.register(ROLES)
    tenant.execute("DELETE FROM roles WHERE id <> 2; UPDATE roles SET note = 'mine'")

    report = tenant.deploy(ROLES, purpose, add_seeds=True)

    assert [(s.inserted, s.skipped) for s in report.seeders] == [(2, 1)]
    assert tenant.rows("SELECT id, note FROM roles ORDER BY id") == [(1, None), (2, "mine"), (3, None)]
    assert [(s.inserted, s.skipped) for s in tenant.deploy(ROLES, purpose, add_seeds=True).seeders] == [(0, 3)]
    assert tenant.migrate(ROLES).verification.passed


REWRITTEN = {
    "tables/users.pssql": "CREATE TABLE users (email text PRIMARY KEY, name text);"
    "CREATE TRIGGER lower BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION lower_email();",
    "functions/lower.pssql": "CREATE FUNCTION lower_email() RETURNS trigger LANGUAGE plpgsql AS"
    " $$ BEGIN NEW.email := lower(NEW.email); RETURN NEW; END $$",
    "seeders/users.pssql": "INSERT INTO users VALUES ('Ada@X.org', 'Ada'), ('Bob@X.org', 'Bob')",
}


def test_a_key_that_a_trigger_rewrites_is_found_as_the_database_keeps_it(tenant):
    tenant.register(REWRITTEN)
    changed = REWRITTEN | {"migrations/001.pssql": "SELECT 1"}
    assert [(v.expected, v.found) for v in tenant.migrate(changed).seeder_validations] == [(2, 2)]
    tenant.execute("DELETE FROM users WHERE name = 'Bob'")
    with pytest.raises(MigrationFailed, match=r"1 of 2 rows .*: email = bob@x\.org \(seeders/users\.pssql\)"):
        tenant.migrate(changed)
    assert [s.inserted for s in tenant.migrate(changed, add_seeds=True).seeders] == [1]
    assert tenant.rows("SELECT email FROM users ORDER BY 1") == [("ada@x.org",), ("bob@x.org",)]


@pytest.mark.parametrize("purpose", ["register", "migrate"])
@pytest.mark.parametrize(
    "seeder",
    [
        "INSERT INTO roles (id, note) VALUES (1, 'x')",
        "INSERT INTO roles (id) VALUES (1); UPDATE roles SET note = 'x'",
        "INSERT INTO roles (id) SELECT length(note) FROM roles",
        "WITH made AS (INSERT INTO roles (id) VALUES (1) RETURNING note) INSERT INTO roles (id) SELECT 2 FROM made",
    ],
)
def test_a_seeder_that_names_a_dropped_column_fails_the_deploy_that_drops_it(tenant, seeder, purpose):
    tenant.register(ROLES | {"seeders/roles.pssql": seeder})
    without = ROLES["tables/roles.pssql"].replace(" note text,", "")
    files = {
        "tables/roles.pssql": without,
        "migrations/001.pssql": "ALTER TABLE roles DROP COLUMN note",
        "seeders/roles.pssql": seeder,
    }
    with pytest.raises(MigrationFailed, match="note") as failure:
        tenant.deploy(files, purpose, force=True)
    assert (failure.value.file, failure.value.line) == ("seeders/roles.pssql", 1)
    assert "_stonescriptdb" not in failure.value.message


def test_tables_and_columns_may_have_any_name(tenant):
    files = {
        "tables/t.pssql": "CREATE TABLE defined (present int PRIMARY KEY, defined text, found bool, label text);"
        'CREATE TABLE present ("0" int, "1" text, PRIMARY KEY ("0", "1"))',
        "seeders/t.pssql": "INSERT INTO defined VALUES (1, 'a', true, 'b'), (2, 'c', false, 'd');"
        "INSERT INTO present VALUES (1, 'a')",
    }
    tenant.register(files)
    assert tenant.migrate(files | {"migrations/1.pssql": "SELECT 1"}).verification.passed
    tenant.execute("DELETE FROM defined WHERE present = 2")
    with pytest.raises(MigrationFailed, match=r"1 of 2 rows .*: present = 2"):
        tenant.migrate(files | {"migrations/1.pssql": "SELECT 1"})


def test_foreign_keys_decide_the_order(tenant):
    report = tenant.register(
        {
            "tables/a.pssql": "CREATE TABLE a (id int PRIMARY KEY, z int REFERENCES z)",
            "tables/z.pssql": "CREATE TABLE z (id int PRIMARY KEY)",
            "seeders/a.pssql": "INSERT INTO a VALUES (1, 1)",
            "seeders/z.pssql": "INSERT INTO z VALUES (1)",
        }
    )
    assert [(s.table, s.inserted) for s in report.seeders] == [("a", 1), ("z", 1)]


TABLE = """CREATE TABLE t (id serial PRIMARY KEY, code text, tags text[], made timestamptz DEFAULT now(),
    uid uuid DEFAULT gen_random_uuid(), data jsonb, UNIQUE (code));
    CREATE TABLE pairs (a int, b int, PRIMARY KEY (a, b)); CREATE TABLE loose (x int, y text, at timestamptz);"""


@pytest.mark.parametrize(
    ("seeder", "expected", "delete"),
    [
        ("INSERT INTO t (code) VALUES ('a (b); -- c'), ('it''s');", 2, "DELETE FROM t WHERE code = 'it''s'"),
        ("INSERT INTO t VALUES (1, 'a', ARRAY['x', 'y'], NOW(), gen_random_uuid(), '{\"a\": 1}')", 1, "DELETE FROM t"),
        (
            "INSERT INTO t (id, tags) VALUES (1, ARRAY[]::text[]), (2, '{}'), (3, DEFAULT)",
            3,
            "DELETE FROM t WHERE id = 3",
        ),
        ("INSERT INTO loose (y, x) VALUES (1, 1), ('abc', 2)", 2, "DELETE FROM loose WHERE x = 2"),
        ("INSERT INTO t (id, code) VALUES (DEFAULT, 'a'), (DEFAULT, 'b')", 2, "DELETE FROM t WHERE code = 'b'"),
        ("INSERT INTO t (code) VALUES ('a') ON CONFLICT (code) DO NOTHING", 1, "DELETE FROM t"),
        (
            "INSERT INTO t AS x (code) VALUES ('a') ON CONFLICT (code) DO UPDATE SET code = x.code RETURNING id",
            1,
            "DELETE FROM t",
        ),
        (
            "INSERT INTO public.\"t\" (code) SELECT 'c' || n FROM generate_series(1, 3) n",
            3,
            "DELETE FROM t WHERE code = 'c2'",
        ),
        ("WITH c AS (SELECT 'a' AS code) INSERT INTO t (code) SELECT code FROM c", 1, "DELETE FROM t"),
        ("INSERT INTO t (code) VALUES ('a'); INSERT INTO t (code) VALUES ('b');", 2, "DELETE FROM t WHERE code = 'a'"),
        ("INSERT INTO pairs VALUES (1, 1), (1, 2)", 2, "DELETE FROM pairs WHERE b = 2"),
        ("INSERT INTO pairs (b, a) SELECT 2, 1", 1, "DELETE FROM pairs"),
        (
            "INSERT INTO loose (x, y, at) VALUES (1, 'a', now()), (2, NULL, CURRENT_TIMESTAMP)",
            2,
            "DELETE FROM loose WHERE x = 2",
        ),
        ("INSERT INTO loose VALUES (1, 'a'), (2, 'b')", 2, "UPDATE loose SET y = 'c' WHERE x = 1"),
    ],
)
def test_rows_are_found_however_they_are_written(tenant, seeder, expected, delete):
    files = {"tables/t.pssql": TABLE, "seeders/s.pssql": seeder}
    assert sum(s.inserted for s in tenant.register(files).seeders) == expected
    assert sum(v.found for v in tenant.migrate(files).seeder_validations) == expected
    tenant.execute(delete)
    with pytest.raises(MigrationFailed, match=f"of {expected} rows"):
        tenant.migrate(files)


def test_other_statements_run_with_the_inserts_of_their_file(tenant):
    files = {
        "tables/t.pssql": TABLE,
        "seeders/s.pssql": "INSERT INTO t (id, code) VALUES (1, 'a'); UPDATE t SET code = upper(code);",
        "seeders/u.pssql": "DO $$ BEGIN INSERT INTO pairs VALUES (7, 7); END $$",
    }
    tenant.register(files)
    assert tenant.rows("SELECT code FROM t") == [("A",)]
    assert tenant.rows("SELECT a FROM pairs") == [(7,)]
    tenant.execute("UPDATE t SET code = 'later'")
    tenant.register(files | {"tables/more.pssql": "CREATE TABLE more (a int)"})
    assert tenant.rows("SELECT code FROM t") == [("later",)]
    assert tenant.rows("SELECT a FROM pairs") == [(7,)]


def test_a_seeder_of_a_missing_table_is_an_error(tenant):
    with pytest.raises(MigrationFailed, match="does not exist") as failure:
        tenant.register({"seeders/x.pssql": "INSERT INTO nowhere VALUES (1)"})
    assert failure.value.file == "seeders/x.pssql"


def test_many_statements_count_as_one_and_a_missing_row_is_still_found(tenant):
    rows = [
        f"INSERT INTO t (id, code) VALUES ({n}, {value});"
        for n, value in enumerate(["'a'", "'b'", "7", "NULL"], start=100)
    ]
    files = {"tables/t.pssql": TABLE, "seeders/s.pssql": "\n".join(rows) + "INSERT INTO t (code) VALUES ('last')"}
    assert sum(s.inserted for s in tenant.register(files).seeders) == 5
    changed = files | {"tables/u.pssql": "CREATE TABLE u (a int)"}
    assert [(s.inserted, s.skipped) for s in tenant.register(changed).seeders] == [(0, 5)]
    assert [(v.expected, v.found) for v in tenant.migrate(changed).seeder_validations] == [(5, 5)]
    tenant.execute("DELETE FROM t WHERE id = 102")
    with pytest.raises(MigrationFailed, match="1 of 5 rows"):
        tenant.migrate(changed)


def test_a_seeder_that_reads_another_table_runs_after_its_seeder(tenant):
    files = {
        "tables/t.pssql": "CREATE TABLE roles (id serial PRIMARY KEY, name text UNIQUE);"
        "CREATE TABLE users (id int PRIMARY KEY, role int REFERENCES roles);"
        "CREATE TABLE copies (name text PRIMARY KEY);",
        "seeders/a_users.pssql": "INSERT INTO users VALUES (1, (SELECT id FROM roles WHERE name = 'admin'))",
        "seeders/b_copies.pssql": "INSERT INTO copies SELECT upper(name) FROM roles",
        "seeders/c_roles.pssql": "INSERT INTO roles (name) VALUES ('admin')",
    }
    tenant.register(files)
    assert tenant.rows("SELECT u.role, c.name FROM users u, copies c") == [(1, "ADMIN")]
    assert tenant.migrate(files).verification.passed


@pytest.mark.parametrize(
    "seeder",
    [
        "INSERT INTO loose VALUES (1, md5(random()::text))",
        "INSERT INTO loose VALUES (1, 'a'); UPDATE loose SET y = 'b'",
        "INSERT INTO stamped (a) VALUES ('a')",
        "WITH made AS (INSERT INTO t (code) VALUES ('a') RETURNING id) INSERT INTO pairs SELECT id, 1 FROM made",
    ],
)
def test_a_row_that_a_trigger_changed_is_not_missing(tenant, seeder):
    files = {
        "tables/t.pssql": TABLE + "CREATE TABLE stamped (a text);"
        "CREATE TRIGGER stamp BEFORE INSERT ON stamped FOR EACH ROW EXECUTE FUNCTION stamp();",
        "functions/stamp.pssql": "CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN NEW.a := upper(NEW.a); RETURN NEW; END $$",
        "seeders/s.pssql": seeder,
    }
    assert sum(s.inserted for s in tenant.register(files).seeders) == 1
    assert tenant.migrate(files).verification.passed
    if "WITH" not in seeder:
        tenant.execute("DELETE FROM loose; DELETE FROM stamped")
        with pytest.raises(MigrationFailed, match="1 of 1 rows"):
            tenant.migrate(files)


def test_a_seeder_that_does_not_fill_a_new_column_is_named(tenant, make_database):
    seeder = "INSERT INTO t (id) VALUES (1);"
    table = "CREATE TABLE t (id int PRIMARY KEY{});"
    tenant.register(files(table.format(""), seeders=seeder))
    last = files(table.format(", a int NOT NULL"), "UPDATE t SET a = id;", seeders=seeder)
    (warning,) = tenant.migrate(last).warnings
    assert "seeders/x.pssql, line 1 gives t.a no value, which is NOT NULL without a default" in warning
    with pytest.raises(MigrationFailed, match="null value in column"):
        Tenant(make_database()).register(last)


@pytest.mark.parametrize("row", ["INSERT INTO s.t VALUES (1)", "SET search_path TO s; INSERT INTO t VALUES (1)"])
def test_a_table_of_another_schema_needs_its_schema(tenant, row):
    schema = "CREATE SCHEMA s; CREATE TABLE s.t (id int PRIMARY KEY);"
    with pytest.raises(MigrationFailed, match=r"fills table t, which does not exist; .* write its schema if it is not"):
        tenant.register(files(schema, seeders="INSERT INTO t VALUES (1)"))
    tenant.register(files(schema, seeders=row))
    assert tenant.rows("SELECT id FROM s.t") == [(1,)]
