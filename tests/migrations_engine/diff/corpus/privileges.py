"""Privileges, and default privileges."""

from __future__ import annotations

from .case import case

_TABLE = "CREATE TABLE t (a int, b text);"
_WRAPPER = "CREATE FOREIGN DATA WRAPPER w#;"
_VIEW = "CREATE TABLE t (a int, b text); CREATE VIEW v AS SELECT a, b FROM t;"
_MATERIALIZED = "CREATE TABLE t (a int, b text); CREATE MATERIALIZED VIEW m AS SELECT a, b FROM t;"

PRIVILEGES = [
    case("privileges on a sequence", "CREATE SEQUENCE s;", "", "GRANT USAGE, SELECT ON SEQUENCE s TO pg_monitor",
          there=("safe grant_privilege s", "safe grant_privilege s"), back=("safe revoke_privilege s", "safe revoke_privilege s")),
    case("privileges on the sequence of a column", "CREATE TABLE t (id serial);", "", "GRANT USAGE ON SEQUENCE t_id_seq TO PUBLIC",
          there=("safe grant_privilege t_id_seq",), back=("safe revoke_privilege t_id_seq",)),
    case("privileges on a type", "CREATE TYPE m AS ENUM ('a');", "", "GRANT USAGE ON TYPE m TO pg_monitor",
          there=("safe grant_privilege m",), back=("safe revoke_privilege m",)),
    case("a type that nobody else may use", "CREATE TYPE m AS ENUM ('a');", "", "REVOKE USAGE ON TYPE m FROM PUBLIC",
          there=("safe revoke_privilege m",), back=("safe grant_privilege m",)),
    case("a domain that nobody else may use", "CREATE DOMAIN d AS int;", "", "REVOKE ALL ON DOMAIN d FROM PUBLIC; GRANT USAGE ON DOMAIN d TO pg_monitor",
          there=("safe revoke_privilege d", "safe grant_privilege d"), back=("safe grant_privilege d", "safe revoke_privilege d")),
    case("privileges on a schema", "CREATE SCHEMA s#;", "", "GRANT USAGE, CREATE ON SCHEMA s# TO pg_monitor WITH GRANT OPTION",
          there=("safe grant_privilege s", "safe grant_privilege s"), back=("safe revoke_privilege s", "safe revoke_privilege s")),
    case("privileges on the schema public", "", "", "GRANT CREATE ON SCHEMA public TO pg_monitor",
          there=("safe grant_privilege public",), back=("safe revoke_privilege public",), alone=True),
    case("the schema public closed", "", "", "REVOKE ALL ON SCHEMA public FROM PUBLIC",
          there=("safe revoke_privilege public",), back=("safe grant_privilege public",), alone=True, since=15),
    case("privileges that the owner gave up", _TABLE, "", "REVOKE DELETE, TRUNCATE ON t FROM CURRENT_USER",
          there=("safe revoke_privilege t", "safe revoke_privilege t"), back=("safe grant_privilege t", "safe grant_privilege t")),
    case("the owner's privileges on a view", _VIEW, "", "REVOKE INSERT ON v FROM CURRENT_USER; GRANT SELECT ON v TO pg_monitor",
          there=("safe grant_privilege v", "safe revoke_privilege v"), back=("safe revoke_privilege v", "safe grant_privilege v")),
    case("grant option", _TABLE, "GRANT SELECT ON t TO pg_monitor", "GRANT SELECT ON t TO pg_monitor WITH GRANT OPTION",
          there=("safe grant_privilege t",), back=("safe revoke_privilege t", "safe grant_privilege t")),
    case("privileges on columns", _TABLE, "GRANT SELECT (a) ON t TO pg_monitor", "GRANT SELECT (a, b), UPDATE (b) ON t TO pg_monitor",
          there=("safe grant_privilege t.b", "safe grant_privilege t.b"), back=("safe revoke_privilege t.b", "safe revoke_privilege t.b")),
    case("privileges on a materialized view", _MATERIALIZED, "", "GRANT SELECT ON m TO PUBLIC",
          there=("safe grant_privilege m",), back=("safe revoke_privilege m",)),
    case("default privileges on tables", "", "", "ALTER DEFAULT PRIVILEGES GRANT SELECT, INSERT ON TABLES TO pg_monitor",
          there=("safe grant_privilege in all schemas", "safe grant_privilege in all schemas"), back=("safe revoke_privilege in all schemas", "safe revoke_privilege in all schemas"), alone=True),
    case("default privileges in a schema", "CREATE SCHEMA s#;", "", "ALTER DEFAULT PRIVILEGES IN SCHEMA s# GRANT USAGE ON SEQUENCES TO PUBLIC; ALTER DEFAULT PRIVILEGES IN SCHEMA s# GRANT SELECT ON TABLES TO pg_monitor WITH GRANT OPTION",
          there=("safe grant_privilege in schema s", "safe grant_privilege in schema s"), back=("safe revoke_privilege in schema s", "safe revoke_privilege in schema s")),
    case("default privileges on functions", "", "", "ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC",
          there=("safe revoke_privilege in all schemas",), back=("safe grant_privilege in all schemas",), alone=True),
    case("default privileges of the owner", "", "", "ALTER DEFAULT PRIVILEGES REVOKE TRUNCATE ON TABLES FROM CURRENT_USER; ALTER DEFAULT PRIVILEGES REVOKE USAGE ON TYPES FROM PUBLIC; ALTER DEFAULT PRIVILEGES GRANT CREATE ON SCHEMAS TO pg_monitor",
          there=("safe grant_privilege in all schemas", "safe revoke_privilege in all schemas", "safe revoke_privilege in all schemas"), back=("safe revoke_privilege in all schemas", "safe grant_privilege in all schemas", "safe grant_privilege in all schemas"), alone=True),
    case("privileges on a language", "CREATE TRUSTED LANGUAGE l# HANDLER plpgsql_call_handler;", "", "REVOKE USAGE ON LANGUAGE l# FROM PUBLIC",
          there=("safe alter_language l",), back=("safe alter_language l",)),
    case("privileges on a server", _WRAPPER + "CREATE SERVER s# FOREIGN DATA WRAPPER w#;", "", "GRANT USAGE ON FOREIGN SERVER s# TO pg_monitor; GRANT USAGE ON FOREIGN DATA WRAPPER w# TO pg_monitor",
          there=("safe alter_foreign_data_wrapper w", "safe alter_server s"), back=("safe alter_foreign_data_wrapper w", "safe alter_server s")),
    case("privileges and a view made again", _VIEW, "GRANT SELECT ON v TO pg_monitor", "DROP VIEW v; CREATE VIEW v AS SELECT b, a FROM t; GRANT SELECT ON v TO pg_monitor; REVOKE DELETE ON v FROM CURRENT_USER",
          there=("safe alter_view v", "safe revoke_privilege v"), back=("safe alter_view v", "safe grant_privilege v")),
]  # fmt: skip
