"""Seeders: into empty tables on register, looked for by key on migrate, however they are written."""

from __future__ import annotations

import pytest

from migrations_engine import MigrationFailed

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


def test_a_row_counts_by_its_key_whatever_became_of_the_rest(tenant):
    tenant.register(ROLES)
    tenant.execute("UPDATE roles SET name = 'boss' WHERE id = 1")
    assert [(v.expected, v.found) for v in tenant.migrate(ROLES).seeder_validations] == [(3, 3)]


def test_the_next_id_comes_after_the_seeded_ones(tenant):
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


def test_seeded_rows_that_do_not_fit_beside_a_migration_s_are_left_out_and_then_missing(tenant):
    files = ROLES | {"migrations/001.pssql": "INSERT INTO roles (id, name) VALUES (10, 'admin')"}
    assert [(s.inserted, s.skipped) for s in tenant.register(files).seeders] == [(0, 3)]
    with pytest.raises(MigrationFailed, match="3 of 3 rows"):
        tenant.migrate(files | {"migrations/002.pssql": "UPDATE roles SET note = 'x'"})


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


def test_a_seeder_of_a_table_that_is_not_there_is_an_error(tenant):
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


def test_a_seeder_that_asks_another_table_comes_after_its_seeder(tenant):
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
def test_what_went_in_otherwise_than_written_is_no_missing_row(tenant, seeder):
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
