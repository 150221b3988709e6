from __future__ import annotations

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from gateway.pools.connection import conninfo_for, refusal
from gateway.pools.connector import maintenance_database


def parts(conninfo: str, **options: str) -> dict:
    return conninfo_to_dict(conninfo_for(conninfo, "o'clock \\ 7", application_name="us", session_options=options))


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
def test_a_refusal_is_told_without_the_address(text, told):
    assert refusal(psycopg.OperationalError(text)) == told
