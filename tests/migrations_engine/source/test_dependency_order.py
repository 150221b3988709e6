"""The order of files: by what they need, otherwise as they were."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from migrations_engine.errors import SchemaExtractionFailed
from migrations_engine.schema import SchemaFile
from migrations_engine.source.dependency_order import order_migrations, order_tables, order_types


def files(folder: str, **contents: str) -> list[SchemaFile]:
    return [
        SchemaFile(folder=folder, path=f"{name}.sql", content=content.encode())
        for name, content in sorted(contents.items())
    ]


def names(ordered: tuple[SchemaFile, ...]) -> str:
    return " ".join(file.stem for file in ordered)


class TestTables:
    @pytest.mark.parametrize(
        ("contents", "expected"),
        [
            ({"a": "CREATE TABLE a ()", "b": "CREATE TABLE b ()"}, "a b"),
            ({"a": "CREATE TABLE a (b int REFERENCES c)", "b": "CREATE TABLE b ()", "c": "CREATE TABLE c ()"}, "b c a"),
            ({"a": "CREATE TABLE a (p int REFERENCES a (id))"}, "a"),
            ({"a": 'CREATE TABLE a (o int REFERENCES "order")', "b": 'CREATE TABLE public."order" ()'}, "b a"),
            ({"a": "CREATE TABLE a (u int REFERENCES public.users)", "users": "CREATE TABLE Users ()"}, "users a"),
            ({"a": "CREATE TABLE a (x int REFERENCES app.b)", "b": "CREATE TABLE b ()"}, "a b"),
            ({"a": "CREATE TABLE a (x int REFERENCES gone)", "b": "CREATE TABLE b ()"}, "a b"),
            (
                {"a": "CREATE TABLE a () INHERITS (b)", "b": "CREATE TABLE b (LIKE c)", "c": "CREATE TABLE c ()"},
                "c b a",
            ),
            (
                {"a": "CREATE TABLE a PARTITION OF b DEFAULT", "b": "CREATE TABLE b (x int) PARTITION BY LIST (x)"},
                "b a",
            ),
            (
                {
                    "a": "ALTER TABLE b ADD FOREIGN KEY (c) REFERENCES c",
                    "b": "CREATE TABLE b ()",
                    "c": "CREATE TABLE c ()",
                },
                "b c a",
            ),
            (
                {
                    "a": "CREATE TABLE a1 (); CREATE TABLE a2 (x int REFERENCES a1, y int REFERENCES b)",
                    "b": "CREATE TABLE b ()",
                },
                "b a",
            ),
            ({"a": "CREATE INDEX i ON b (x)", "b": "CREATE TABLE b (x int)"}, "b a"),
            (
                {
                    "a": "CREATE VIEW a AS SELECT * FROM b JOIN c USING (id)",
                    "b": "CREATE TABLE b ()",
                    "c": "CREATE VIEW c AS SELECT 1",
                },
                "b c a",
            ),
            (
                {"a": "CREATE TABLE a (b int, c text)", "b": "CREATE TABLE b ()", "c": "CREATE VIEW c AS SELECT 1"},
                "a b c",
            ),
            ({"a": "CREATE TABLE a (s mood)", "b": "CREATE TYPE mood AS ENUM ('x')"}, "b a"),
            (
                {
                    "a": "CREATE TABLE a (s int DEFAULT f())",
                    "b": "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
                },
                "b a",
            ),
            ({"a": "CREATE TABLE a (s int DEFAULT nextval('numbers'))", "b": "CREATE SEQUENCE numbers"}, "b a"),
        ],
    )
    def test_each_file_comes_after_those_it_needs(self, contents: dict[str, str], expected: str) -> None:
        assert names(order_tables(files("tables", **contents))) == expected

    def test_names_that_are_only_mentioned_give_way(self) -> None:
        contents = {
            "a": "CREATE TABLE a (); CREATE VIEW v AS SELECT b FROM a",
            "b": "CREATE TABLE b (x int REFERENCES a)",
        }

        assert names(order_tables(files("tables", **contents))) == "a b"

    def test_a_circle_is_named_without_the_files_beside_it(self) -> None:
        contents = {
            "a": "CREATE TABLE a (x int REFERENCES c)",
            "b": "CREATE TABLE b (x int REFERENCES d)",
            "c": "CREATE TABLE c (x int REFERENCES b)",
            "d": "CREATE TABLE d (x int REFERENCES b)",
        }

        with pytest.raises(SchemaExtractionFailed) as caught:
            order_tables(files("tables", **contents))

        assert "need each other: b.sql → d.sql → b.sql. Take one of the foreign keys out" in caught.value.message
        assert caught.value.file == "tables/b.sql"

    def test_a_circle_is_resolved_by_a_file_of_its_own(self) -> None:
        contents = {
            "a": "CREATE TABLE a (b int)",
            "a_keys": "ALTER TABLE a ADD FOREIGN KEY (b) REFERENCES b",
            "b": "CREATE TABLE b (a int REFERENCES a)",
        }

        assert names(order_tables(files("tables", **contents))) == "a b a_keys"

    def test_an_unclosed_string_names_its_file(self) -> None:
        with pytest.raises(SchemaExtractionFailed) as caught:
            order_tables(files("tables", a="CREATE TABLE a ()", b="SELECT '"))
        assert caught.value.file == "tables/b.sql"


def test_types_come_after_those_they_mention() -> None:
    contents = {
        "address": "CREATE TYPE address AS (zip zip_code, place text)",
        "customer": "CREATE TYPE customer AS (address address, kind kind)",
        "kind": "CREATE TYPE kind AS ENUM ('address')",
        "zip_code": "CREATE DOMAIN zip_code AS text",
    }

    assert names(order_types(files("types", **contents))) == "kind zip_code address customer"


def test_types_in_a_circle_stay_in_the_order_of_their_names() -> None:
    contents = {"a": "CREATE TYPE a AS (b int)", "b": "CREATE TYPE b AS (a int)"}

    assert names(order_types(files("types", **contents))) == "a b"


class TestMigrations:
    @pytest.mark.parametrize(
        ("contents", "expected"),
        [
            (
                {"m1": "CREATE TABLE a ()", "m2": "ALTER TABLE a ADD x int", "m3": "INSERT INTO a VALUES (1)"},
                "m1 m2 m3",
            ),
            ({"m1": "CREATE TABLE a (x int REFERENCES b)", "m2": "CREATE TABLE b ()"}, "m2 m1"),
            (
                {
                    "m1": "CREATE TABLE a (x int REFERENCES c)",
                    "m2": "ALTER TABLE a ADD y int",
                    "m3": "CREATE TABLE c ()",
                    "m4": "SELECT 1",
                },
                "m3 m1 m2 m4",
            ),
            (
                {
                    "m1": "CREATE TABLE a (x int REFERENCES c)",
                    "m2": "CREATE VIEW v AS SELECT * FROM a",
                    "m3": "CREATE TABLE c ()",
                },
                "m3 m1 m2",
            ),
            ({"m1": "ALTER TABLE gone ADD x int", "m2": "CREATE TABLE b ()"}, "m1 m2"),
            ({"m1": "ALTER TABLE a ADD x int", "m2": "DROP TABLE a; CREATE TABLE a ()"}, "m2 m1"),
            ({"m1": "DROP TABLE IF EXISTS a", "m2": "CREATE TABLE a ()"}, "m1 m2"),
            ({"m1": "ALTER TABLE a ADD x int", "m2": "ALTER TABLE a RENAME TO b; CREATE TABLE a ()"}, "m1 m2"),
            (
                {"m1": "CREATE TABLE a ()", "m2": "INSERT INTO b VALUES (1)", "m3": "ALTER TABLE a RENAME TO b"},
                "m1 m3 m2",
            ),
            ({"m1": "CREATE VIEW v AS SELECT * FROM later", "m2": "CREATE TABLE later ()"}, "m1 m2"),
        ],
    )
    def test_a_file_moves_only_behind_the_one_that_makes_its_table(
        self, contents: dict[str, str], expected: str
    ) -> None:
        assert names(order_migrations(files("migrations", **contents))) == expected

    def test_declared_tables_are_there_already(self) -> None:
        migrations = files("migrations", m1="ALTER TABLE a ADD x int", m2="CREATE TABLE a ()")

        assert names(order_migrations(migrations, files("tables", a="CREATE TABLE a ()"))) == "m1 m2"

    def test_a_circle_stays_in_the_order_of_the_names(self) -> None:
        contents = {
            "m1": "CREATE TABLE a (x int REFERENCES b)",
            "m2": "CREATE TABLE b (x int REFERENCES a)",
            "m0": "SELECT 1",
        }

        assert names(order_migrations(files("migrations", **contents))) == "m0 m1 m2"


@settings(max_examples=100, deadline=None)
@given(st.permutations(list(range(8))), st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), max_size=16))
def test_any_acyclic_schema_is_put_in_order(labels: list[int], pairs: list[tuple[int, int]]) -> None:
    parents = {number: {low for low, high in map(sorted, pairs) if high == number != low} for number in range(8)}
    tables = [
        SchemaFile(
            folder="tables",
            path=f"t{labels[number]}.sql",
            content=f"CREATE TABLE t{labels[number]} ({columns_to(labels, parents[number])})".encode(),
        )
        for number in range(8)
    ]
    given_order = sorted(tables, key=lambda file: file.path)

    ordered = order_tables(given_order)

    position = {file.path: place for place, file in enumerate(ordered)}
    assert sorted(ordered, key=lambda file: file.path) == given_order
    for number in range(8):
        assert all(
            position[f"t{labels[parent]}.sql"] < position[f"t{labels[number]}.sql"] for parent in parents[number]
        )


def columns_to(labels: list[int], parents: set[int]) -> str:
    return ", ".join(f"c{labels[parent]} int REFERENCES t{labels[parent]}" for parent in sorted(parents))
