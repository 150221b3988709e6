"""What the commands about fleets print, on a terminal and in a pipe."""

from __future__ import annotations

import sys

import pytest

from gateway.commands.fleet_output import show_plan, show_table

INDEXES = [
    {"step": "tables", "file": None, "sql": f"CREATE INDEX i{n} ON t (a)", "effect": "keeps writers waiting"}
    for n in range(3)
]


def group(*names: str, **more: object) -> dict[str, object]:
    return {"databases": list(names), "count": len(names), "plan": [], "error": None, **more}


def result(name: str, rows: int | None) -> dict[str, object]:
    change = {"table": "t", "column": "c", "change_type": "drop_column", "rows_at_risk": rows}
    return {"database": name, "schema_validation": {"dataloss_changes": [change], "incompatible_changes": []}}


def test_statements_of_one_origin_and_effect_have_one_line_above_them(capsys) -> None:
    added = {"step": "migrations", "file": "migrations/1.sql", "sql": "ALTER TABLE t ADD b int;", "effect": None}
    show_plan({"groups": [group("x", plan=[added, *INDEXES])], "databases": [], "estimated_ms": 40})
    assert capsys.readouterr().out.splitlines() == [
        "1 database (x):",
        "  -- migrations/1.sql",
        "  ALTER TABLE t ADD b int;",
        "  -- tables: keeps writers waiting (3 statements)",
        "  CREATE INDEX i0 ON t (a);",
        "  CREATE INDEX i1 ON t (a);",
        "  CREATE INDEX i2 ON t (a);",
        "about 0.0 s at most",
    ]


def test_equal_rows_at_risk_are_printed_once(capsys) -> None:
    databases = [result("x", 0), result("y", 2), result("z", 0), result("u", None)]
    show_plan({"groups": [group("u", "x", "y", "z", plan=INDEXES[:1])], "databases": databases, "estimated_ms": 40})
    assert capsys.readouterr().out.splitlines()[3:] == [
        "2 databases (x, z), each: t.c: drop_column: 0 rows at risk",
        "y: t.c: drop_column: 2 rows at risk",
        "u: t.c: drop_column: an unknown number of rows at risk",
        "about 0.0 s at most",
    ]


def test_nothing_to_do_takes_no_time(capsys) -> None:
    show_plan({"groups": [group("x", "y")], "databases": [], "estimated_ms": 40})
    assert capsys.readouterr().out.splitlines() == ["2 databases alike (x, y):", "  nothing to do"]


@pytest.mark.parametrize("terminal", [True, False])
def test_a_table_without_rows_is_not_printed(monkeypatch, capsys, terminal) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
    show_table(("database", "status"), [])
    assert capsys.readouterr().out == ""
