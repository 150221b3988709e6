"""The file that creates or changes an object."""

from __future__ import annotations

import pytest

from migrations_engine.schema import SchemaFile
from migrations_engine.source.attribution import FileIndex, mentions_name

TEXT = "ALTER TABLE Orders ADD \"my name\" int; -- of über$1, not users_old\nSELECT 'in_a_string', a.b"
LARGE = TEXT + "\n--" + " filler" * 50_000


def migration(text: str, name: str = "1") -> SchemaFile:
    return SchemaFile(folder="migrations", path=f"{name}.sql", content=text.encode())


@pytest.mark.parametrize("text", [TEXT, LARGE], ids=["small", "large"])
@pytest.mark.parametrize(
    ("name", "is_there"),
    [
        ("orders", True), ("ORDERS", True), ("order", False), ("my name", True), ("my", True), ("y name", False),
        ("ÜBER$1", True), ("über", False), ("users", False), ("users_old", True), ("in_a_string", True), ("a.b", True),
        ("b", True), ("a.", False),
    ],
)  # fmt: skip
def test_a_name_is_mentioned_as_a_word(text, name, is_there):
    index = FileIndex([migration(text)])
    assert (bool(index.mentioning(name)), mentions_name(text, name)) == (is_there, is_there)


def test_the_last_file_that_defines_both_names_has_changed_the_member():
    files = [
        migration("ALTER TABLE t ADD c int", "1"),
        migration("ALTER TABLE t ALTER c TYPE bigint", "2"),
        migration("UPDATE t SET c = 1", "3"),
        migration("CREATE INDEX i ON other (c)", "4"),
    ]
    assert FileIndex(files).changing("t", "c") is files[1]
    assert FileIndex(files).changing("t") is files[1]
    assert FileIndex(files).changing("u", "i") is files[3]  # a statement may name the member alone
    assert FileIndex(files[2:3]).changing("t", "c") is files[2]
    assert FileIndex(files).changing("nothing") is None


def test_the_file_that_creates_a_table_comes_before_those_that_mention_it():
    files = [migration("CREATE VIEW v AS TABLE t", "1"), migration("CREATE TABLE t (a int)", "2")]
    assert FileIndex(files).declaring("t") is files[1]
    assert FileIndex(files[:1]).declaring("t") is files[0]
