from __future__ import annotations

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from gateway.pools.conninfo import (
    conninfo_of_database,
    conninfo_of_server,
    maintenance_database,
    one_address,
    refusal,
)


def parts(conninfo: str, **options: str) -> dict:
    server = conninfo_of_server(conninfo, application_name="us", session_options=options)
    return conninfo_to_dict(conninfo_of_database(server, "o'clock \\ 7"))


def test_the_database_and_the_name_are_set_and_everything_else_is_kept():
    given = "host=db port=6432 user=u password='p w' sslmode=require dbname=postgres connect_timeout=9"
    made = parts(given)
    assert made["dbname"] == "o'clock \\ 7"
    assert made["application_name"] == "us"
    assert {name: made[name] for name in ("host", "port", "user", "password", "sslmode", "connect_timeout")} == {
        "host": "db",
        "port": "6432",
        "user": "u",
        "password": "p w",
        "sslmode": "require",
        "connect_timeout": "9",
    }
    assert parts("")["connect_timeout"] == "5"


@pytest.mark.parametrize(
    ("given", "environment", "gssencmode"),
    [
        ("host=db", {}, "disable"),
        ("host=db gssencmode=require", {}, "require"),
        ("host=db", {"PGGSSENCMODE": "prefer"}, None),
        ("host=db service=main", {}, None),
        ("host=db", {"PGSERVICE": "main"}, None),
    ],
)
def test_gssapi_encrypts_only_where_it_was_chosen(monkeypatch, given, environment, gssencmode):
    for name in ("PGGSSENCMODE", "PGSERVICE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert parts(given).get("gssencmode") == gssencmode


def test_settings_are_escaped_and_come_before_given_options():
    options = parts("options='-c a=1'", b="x y\\z")["options"]
    assert options == "-c client_connection_check_interval=1000 -c b=x\\ y\\\\z -c a=1"


@pytest.mark.parametrize(
    ("conninfo", "database"),
    [("dbname=app user=u", "app"), ("postgresql://u@h/app", "app"), ("user=u", "u"), ("", "postgres")],
)
def test_the_maintenance_database_is_the_one_of_the_conninfo(conninfo, database):
    assert maintenance_database(conninfo) == database


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            'connection failed: connection to server at "10.1.2.3", port 5432 failed: FATAL:  the database system is'
            " starting up",
            "FATAL:  the database system is starting up",
        ),
        (
            'connection is bad: connection to server on socket "/run/x" failed: No such file or directory\n\tIs the'
            " server running locally?",
            "No such file or directory",
        ),
        ("connection timeout expired", "connection timeout expired"),
    ],
)
def test_a_refusal_is_reported_without_the_address(text, told):
    assert refusal(psycopg.OperationalError(text)) == told


@pytest.mark.parametrize(
    ("conninfo", "environment", "one"),
    [
        ("", {}, True),
        ("host=/run/postgresql", {}, True),
        ("host=10.0.0.1 port=6432", {}, True),
        ("postgresql://[::1]/app", {}, True),
        ("host=db hostaddr=10.0.0.1", {}, True),
        ("host=localhost", {}, True),
        ("host=db", {}, False),
        ("host=10.0.0.1,10.0.0.2", {}, False),
        ("host=/run/a,/run/b", {}, False),
        ("service=app", {}, False),
        ("", {"PGHOST": "db"}, False),
        ("", {"PGHOST": "/run/postgresql"}, True),
        ("host=db", {"PGHOSTADDR": "10.0.0.1"}, True),
        ("host=10.0.0.1", {"PGSERVICE": "app"}, False),
    ],
)
def test_where_there_is_a_name_or_a_choice_psycopg_connects(conninfo, environment, one, monkeypatch):
    for name in ("PGHOST", "PGHOSTADDR", "PGSERVICE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert one_address(conninfo) is one
