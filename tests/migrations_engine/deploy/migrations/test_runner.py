"""Migrations: order, once, satisfied by the declared tables, changed, and outside a transaction."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from migrations_engine import MigrationFailed

USERS = "CREATE TABLE users (id serial PRIMARY KEY, name text NOT NULL, age bigint);"


def test_they_run_in_file_name_order(tenant):
    report = tenant.register(
        {
            "migrations/003_rows.pssql": "INSERT INTO t (a, b) VALUES (1, 2)",
            "migrations/002_column.pssql": "ALTER TABLE t ADD COLUMN b int",
            "migrations/001_table.pssql": "CREATE TABLE t (a int)",
        }
    )
    assert report.migrations_applied == 3
    assert tenant.rows("SELECT migration_file FROM _stonescriptdb_gateway_migrations ORDER BY id") == [
        ("001_table.pssql",),
        ("002_column.pssql",),
        ("003_rows.pssql",),
    ]


def test_a_migration_with_a_foreign_key_runs_after_the_table_it_needs(tenant):
    report = tenant.register(
        {
            "migrations/001_orders.pssql": "CREATE TABLE orders (id int, user_id int REFERENCES users(id))",
            "migrations/002_users.pssql": "CREATE TABLE users (id int PRIMARY KEY)",
        }
    )
    assert report.migrations_applied == 2


@pytest.mark.parametrize(
    "migration",
    [
        "CREATE TABLE users (id serial PRIMARY KEY, name text NOT NULL)",
        "ALTER TABLE users ADD COLUMN age bigint",
        "ALTER TABLE users ADD COLUMN age bigint, ADD COLUMN city text",
        "ALTER TABLE users ADD PRIMARY KEY (id)",
        "ALTER TABLE users DROP COLUMN nickname",
        "ALTER TABLE users RENAME COLUMN years TO age",
        "ALTER TABLE members RENAME TO users",
        "DROP TABLE legacy",
        "DROP INDEX legacy_index",
        "ALTER INDEX legacy_name RENAME TO users_name",
        "ALTER TYPE legacy_mood RENAME TO mood",
        "ALTER VIEW IF EXISTS public.legacy_names RENAME TO user_names; ALTER VIEW legacy_names RENAME TO user_names",
        "CREATE INDEX users_name ON users (name)",
        "ALTER TABLE users ADD CONSTRAINT positive CHECK (age > 0)",
        "CREATE TYPE mood AS ENUM ('a', 'b')",
        "ALTER TYPE mood ADD VALUE 'b'",
        "ALTER TYPE public.mood ADD VALUE 'b' BEFORE 'c'",
        """ALTER TYPE "mood" ADD/* last */VALUE 'b'""",
        "ALTER TYPE mood RENAME VALUE 'old' TO 'a'",
        """ALTER TYPE public."mood" RENAME VALUE 'old' TO 'a'""",
        "ALTER DOMAIN age RENAME CONSTRAINT old TO grown",
        "ALTER POLICY old ON users RENAME TO readable",
        "ALTER TRIGGER old ON users RENAME TO same",
        "CREATE VIEW user_names AS SELECT name FROM users",
    ],
)
def test_statements_for_declared_objects_are_satisfied_and_reported(tenant, migration):
    report = tenant.register(
        {
            "types/mood.pssql": "CREATE TYPE mood AS ENUM ('a', 'b');"
            "CREATE DOMAIN age AS int CONSTRAINT grown CHECK (VALUE > 0)",
            "tables/users.pssql": USERS
            + """CREATE INDEX users_name ON users (name);
            ALTER TABLE users ADD CONSTRAINT positive CHECK (age > 0);
            CREATE VIEW user_names AS SELECT name FROM users; CREATE POLICY readable ON users USING (true);
            CREATE TRIGGER same BEFORE UPDATE ON users FOR EACH ROW
                EXECUTE FUNCTION suppress_redundant_updates_trigger();""",
            "migrations/001.pssql": f"{migration};\nINSERT INTO users (name) VALUES ('after');",
        }
    )
    assert report.migrations_applied == 1
    assert len(report.satisfied_statements) == 1
    assert report.satisfied_statements[0].startswith("migrations/001.pssql, line 1: ")
    assert tenant.rows("SELECT name FROM users") == [("after",)]


def test_a_satisfied_statement_is_reported_without_its_comments(tenant):
    commented = "ALTER TABLE users -- it was forgotten\n  ADD COLUMN /* in years */ age bigint"
    report = tenant.register({"tables/users.pssql": USERS, "migrations/001.pssql": commented})
    assert report.satisfied_statements == ("migrations/001.pssql, line 1: ALTER TABLE users ADD COLUMN age bigint",)


def test_an_object_that_differs_from_the_migration_is_reported(tenant):
    tenant.register({"tables/users.pssql": USERS})
    tenant.execute("ALTER TABLE users ADD COLUMN city int")
    report = tenant.migrate(
        {"tables/users.pssql": USERS, "migrations/001.pssql": "ALTER TABLE users ADD COLUMN city text"}
    )
    assert len(report.satisfied_statements) == 1
    assert any(
        "users.city (alter column type): here integer, in a new database text" in warning for warning in report.warnings
    )


def test_the_rest_of_a_half_satisfied_alter_table_runs(tenant):
    tenant.register(
        {
            "tables/users.pssql": USERS,
            "migrations/001.pssql": "ALTER TABLE ONLY users ADD COLUMN age bigint, ADD COLUMN city text DEFAULT 'a, b'",
        }
    )
    tenant.execute("INSERT INTO users (name) VALUES ('x')")
    assert tenant.rows("SELECT city FROM users") == [("a, b",)]


@pytest.mark.parametrize(
    "second",
    [
        "CREATE TABLE extra (id int)",
        "ALTER TABLE users ADD COLUMN city text",
        "CREATE INDEX by_city ON users (city)",
        "INSERT INTO users (id, name) VALUES (1, 'twice')",
        "UPDATE users SET nothing = 1",
        "ALTER TABLE nowhere ADD COLUMN a int",
        "ALTER INDEX nowhere RENAME TO by_nothing",
        "ALTER TABLE extra ADD CONSTRAINT k PRIMARY KEY (id)",
    ],
)
def test_a_real_mistake_is_not_satisfied(tenant, second):
    with pytest.raises(MigrationFailed) as failure:
        tenant.register(
            {
                "tables/users.pssql": USERS,
                "migrations/001.pssql": "CREATE TABLE extra (id int); ALTER TABLE extra ADD PRIMARY KEY (id);"
                "ALTER TABLE users ADD COLUMN city text;"
                "CREATE INDEX by_city ON users (city); INSERT INTO users (id, name) VALUES (1, 'once');",
                "migrations/002.pssql": f"\n{second}",
            }
        )
    assert failure.value.file == "migrations/002.pssql"
    assert "line 2" in str(failure.value)


def test_an_applied_migration_must_not_change_unless_forced(tenant):
    tenant.register({"migrations/001.pssql": "CREATE TABLE t (a int)"})
    changed = {"migrations/001.pssql": "CREATE TABLE t (a int, b int)"}
    with pytest.raises(MigrationFailed, match="has changed since it was applied"):
        tenant.migrate(changed)
    report = tenant.migrate(changed, force=True)
    assert report.migrations_applied == 0
    assert "migrations/001.pssql has changed since it was applied; it was not run again" in report.warnings
    assert tenant.migrate(changed).warnings == ()


def test_a_migration_may_use_a_new_function_or_a_new_table(tenant):
    tenant.register({"tables/users.pssql": USERS})
    report = tenant.migrate(
        {
            "tables/users.pssql": USERS,
            "tables/pets.pssql": "CREATE TABLE pets (id int PRIMARY KEY, owner int REFERENCES users)",
            "functions/five.pssql": "CREATE FUNCTION five() RETURNS int LANGUAGE sql AS 'SELECT 5'",
            "migrations/001.pssql": "INSERT INTO pets VALUES (five(), NULL)",
        }
    )
    assert (report.migrations_applied, report.tables_created, report.functions_deployed) == (1, 1, 1)
    assert tenant.rows("SELECT id FROM pets") == [(5,)]


OUTSIDE = """-- gateway: no-transaction
CREATE INDEX CONCURRENTLY by_name ON users (name);
INSERT INTO users (name) VALUES ('x');"""


def test_what_was_created_for_a_migration_that_fails_in_an_empty_database_is_created_again(tenant):
    function = {"functions/f.pssql": "CREATE DOMAIN d AS int; CREATE FUNCTION f(d) RETURNS d LANGUAGE sql RETURN $1;"}
    first = {"migrations/001.pssql": "SELECT f(a) FROM t"} | function
    tenant.register({"tables/t.pssql": "CREATE TABLE t (a int)"} | first)
    later = {"migrations/002.pssql": "INSERT INTO n VALUES (f(1))", "tables/n.pssql": "CREATE TABLE n (a int)"}
    report = tenant.migrate(first | later, force=True)
    assert [text for text in report.warnings if "no new database can be made" in text and "002" in text] == []
    assert tenant.rows("SELECT a FROM n") == [(1,)]


def test_a_migration_may_declare_that_it_runs_without_a_transaction(tenant):
    with pytest.raises(MigrationFailed, match="-- gateway: no-transaction"):
        tenant.register(
            {"tables/users.pssql": USERS, "migrations/001.pssql": "CREATE INDEX CONCURRENTLY i ON users (name)"}
        )
    report = tenant.register(
        {
            "tables/users.pssql": USERS,
            "migrations/001.pssql": OUTSIDE,
            "migrations/002.pssql": "INSERT INTO users (name) VALUES ('y')",
        }
    )
    assert report.migrations_applied == 2
    assert tenant.rows("SELECT name FROM users ORDER BY id") == [("x",), ("y",)]
    assert tenant.rows("SELECT indisvalid FROM pg_index WHERE indexrelid = 'by_name'::regclass") == [(True,)]


@pytest.mark.parametrize(
    ("declared", "index"),
    [
        ({"tables/pets.pssql": "CREATE TABLE pets (id int);"}, "pets (id)"),
        ({"tables/users.pssql": USERS.replace("age", "years bigint, age")}, "users (years)"),
        (
            {"functions/f.pssql": "CREATE FUNCTION f(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT $1';"},
            "users (f(name))",
        ),
    ],
)
def test_one_outside_a_transaction_uses_what_its_release_declares(tenant, declared: dict[str, str], index: str):
    tenant.register({"tables/users.pssql": USERS})
    outside = {"migrations/001.pssql": f"-- gateway: no-transaction\nCREATE INDEX CONCURRENTLY i ON {index};"}
    files = {"tables/users.pssql": USERS} | declared | outside
    with pytest.raises(MigrationFailed, match="division by zero"):
        tenant.migrate(files | {"migrations/002.pssql": "SELECT 1 / 0;"})
    report = tenant.migrate(files | {"migrations/002.pssql": "SELECT 1 / 1;"})
    assert (report.differences, report.warnings) == ((), ())
    assert tenant.rows("SELECT indisvalid FROM pg_index WHERE indexrelid = 'i'::regclass") == [(True,)]


def test_one_outside_a_transaction_is_resumed_after_its_last_statement(tenant):
    tenant.register({"tables/users.pssql": USERS})
    broken = {"tables/users.pssql": USERS, "migrations/001.pssql": OUTSIDE + "\nINSERT INTO later VALUES (1);"}
    with pytest.raises(MigrationFailed, match="line 4"):
        tenant.migrate(broken)
    tenant.execute("CREATE TABLE later (a int)")
    report = tenant.migrate(broken)
    assert "migrations/001.pssql had stopped after statement 2 and was resumed there" in report.warnings
    assert tenant.rows("SELECT name FROM users") == [("x",)]
    assert tenant.rows("SELECT a FROM later") == [(1,)]


def test_one_outside_a_transaction_is_resumed_with_its_settings(tenant):
    tables = {"tables/users.pssql": "CREATE SCHEMA app; " + USERS.replace("users", "app.users")}
    tenant.register(tables)
    outside = OUTSIDE.replace("CREATE", "SET search_path TO app; CREATE", 1)
    broken = tables | {"migrations/001.pssql": f"{outside} INSERT INTO later VALUES (1);"}
    with pytest.raises(MigrationFailed, match="later"):
        tenant.migrate(broken)
    tenant.execute("CREATE TABLE app.later (a int)")
    report = tenant.migrate(broken)
    assert "migrations/001.pssql had stopped after statement 3 and was resumed there" in report.warnings
    assert tenant.rows("SELECT a FROM app.later") == [(1,)]
    assert tenant.rows("SELECT name FROM app.users") == [("x",)]


def test_a_key_of_new_numbers_is_not_refused_before_a_migration_outside_a_transaction(tenant):
    tenant.register({"tables/users.pssql": USERS})
    tenant.execute("INSERT INTO users (name) VALUES ('a'), ('b')")
    numbered = USERS.replace("age", "number int UNIQUE DEFAULT nextval('numbers'), age")
    later = {
        "tables/users.pssql": f"CREATE SEQUENCE numbers; {numbered}",
        "migrations/001.pssql": "-- gateway: no-transaction\nCREATE INDEX CONCURRENTLY i ON users (name)",
    }
    tenant.migrate(later)
    assert tenant.rows("SELECT count(DISTINCT number) FROM users") == [(2,)]


def test_an_index_left_invalid_by_a_crash_is_made_again(tenant):
    tenant.register({"tables/users.pssql": USERS})
    tenant.execute("INSERT INTO users (name) VALUES ('same'), ('same')")
    unique = {
        "tables/users.pssql": USERS,
        "migrations/001.pssql": "-- gateway: no-transaction\nCREATE UNIQUE INDEX CONCURRENTLY u ON users (name)",
    }
    with pytest.raises(MigrationFailed, match="could not create unique index"):
        tenant.migrate(unique)
    assert tenant.rows("SELECT indisvalid FROM pg_index WHERE indexrelid = 'u'::regclass") == [(False,)]
    tenant.execute("DELETE FROM users")
    tenant.migrate(unique)
    assert tenant.rows("SELECT indisvalid FROM pg_index WHERE indexrelid = 'u'::regclass") == [(True,)]


def test_no_other_deploy_comes_between_its_transactions(tenant):
    tenant.register({"tables/users.pssql": USERS})
    outside = "-- gateway: no-transaction\nSELECT pg_sleep(0.3);\nVACUUM users;"
    files = {"tables/users.pssql": USERS, "migrations/001.pssql": outside}
    other = {"tables/users.pssql": USERS.replace("age", "years bigint, age")}
    with ThreadPoolExecutor(1) as thread:
        first = thread.submit(tenant.migrate, files)
        asleep = "SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()"
        while not tenant.rows(asleep):
            assert not first.done()
        with pytest.raises(MigrationFailed, match="another deploy"):
            tenant.migrate(other, wait_seconds=0)
        assert first.result().migrations_applied == 1
    assert not tenant.migrate(files | other).schema_validation.dataloss_changes


DEFERRED = "CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (a int REFERENCES a DEFERRABLE INITIALLY DEFERRED{});"


def test_a_deferred_constraint_is_checked_at_the_end_of_its_file(tenant):
    tenant.register({"tables/t.pssql": DEFERRED.format("")})
    with pytest.raises(MigrationFailed, match="violates foreign key constraint") as failure:
        tenant.migrate({"tables/t.pssql": DEFERRED.format(""), "migrations/001.pssql": "INSERT INTO b VALUES (9)"})
    assert failure.value.file == "migrations/001.pssql"


def test_rows_that_wait_for_a_check_do_not_keep_a_table_from_being_altered(tenant):
    tenant.register({"tables/t.pssql": DEFERRED.format("")})
    rows = "INSERT INTO b VALUES ({0}); INSERT INTO a VALUES ({0});"
    tenant.migrate(
        {
            "tables/t.pssql": DEFERRED.format(", c text"),
            "migrations/001.pssql": rows.format(1),
            "migrations/002.pssql": rows.format(2),
        }
    )
    assert tenant.rows("SELECT a, c FROM b ORDER BY a") == [(1, None), (2, None)]


def test_a_refusal_after_one_outside_a_transaction_says_what_was_committed_and_leaves_nothing_behind(tenant):
    function = "CREATE FUNCTION f() RETURNS TABLE (a int, x text) LANGUAGE sql AS $$ SELECT a, x FROM t $$"
    tenant.register({"tables/t.pssql": "CREATE TABLE t (a int, x text)", "functions/f.pssql": function})
    later = {
        "tables/t.pssql": "CREATE TABLE t (b int, x varchar(4)); CREATE INDEX i ON t (x)",
        "functions/f.pssql": function.replace("(a int", "(b int").replace("SELECT a", "SELECT b"),
        "functions/g.pssql": "CREATE FUNCTION g(i int) RETURNS int LANGUAGE sql AS $$ SELECT i $$",
        "migrations/1.pssql": "ALTER TABLE t RENAME a TO b",
        "migrations/2.pssql": "UPDATE t SET b = g(b)",
        "migrations/3.pssql": "-- gateway: no-transaction\nCREATE INDEX CONCURRENTLY i ON t (x)",
    }
    with pytest.raises(MigrationFailed) as refusal:
        tenant.migrate(later)
    assert "what precedes migrations/3.pssql, which runs outside a transaction, has been" in refusal.value.message
    assert "Nothing was changed" not in refusal.value.message
    assert tenant.migrate(later, force=True).migrations_applied == 0
    assert tenant.rows("SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace ORDER BY 1") == [
        ("f",),
        ("g",),
    ]
