"""The cost of reading is proportional to the size of a file, for any content."""

from __future__ import annotations

import gc
import gzip
import io
import random
import re
import tarfile
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator

import pytest

from migrations_engine.deploy.migrations.renamed_names import _RENAMING
from migrations_engine.errors import SchemaExtractionFailed
from migrations_engine.schema import Schema, SchemaFile
from migrations_engine.source.archive import read_archive
from migrations_engine.source.attribution import FileIndex
from migrations_engine.source.checksum import folded_checksum
from migrations_engine.source.dependency_order import Filling, order_migrations, order_seeders, order_tables
from migrations_engine.source.functions_folder import other_object_files
from migrations_engine.source.insert import insert_of
from migrations_engine.source.lexer import occurs, pieces
from migrations_engine.source.names import created_name, dropped_names
from migrations_engine.source.script import script_of, statement_files
from migrations_engine.source.statements import directive, split
from tests.support.cost import grows_faster_than_the_input, repeated

FRAGMENTS = (
    *("a", "Z", "9", " ", "\n", "\r", "\t", "'", "''", '"', '""', "$", "$$", "$a$", "$a", "$1", "E'", "e'a'", "\\"),
    *("\\'", "/*", "*/", "--", "/", "*", "+", "-", "<", ">", "=", "~", "!", "@", "%", "|", "?", "`", ".", "..", "1."),
    *("1e+", "0x", "_", ":", "::", ":=", ";", "(", ")", "[", "]", ",", "U&'", 'u&"', "x'", "n'", "é", "begin "),
    *(" atomic ", "case ", "end ", "create function f", "do ", "\\restrict a\n", "-- gateway: x\n", "😀"),
)


def read_all(text: str) -> None:
    for _ in pieces(text):
        pass


@pytest.mark.slow
def test_a_thousand_shapes_cost_the_lexer_in_proportion_to_their_size() -> None:
    chance = random.Random(1)
    for _ in range(1000):
        before, unit = ("".join(chance.choices(FRAGMENTS, k=chance.randint(low, 4))) for low in (0, 1))
        assert not grows_faster_than_the_input(read_all, repeated(before, unit)), (before, unit)


def read_statements(text: str) -> None:
    for statement in split(text):
        created_name(statement)
        dropped_names(statement)
        insert_of(statement)


def order(text: str) -> None:
    file = SchemaFile(folder="tables", path="a.sql", content=text.encode())
    order_tables([file])
    order_migrations([file, SchemaFile(folder="tables", path="b.sql", content=b"create table b (a int)")])


SHAPES = {
    "blanks at the end": repeated("select 1;", " "),
    "line breaks": repeated("", "\n"),
    "comment lines": repeated("", "-- a\n"),
    "directives": repeated("", "-- a: b\n"),
    "an unclosed directive": repeated("--", " "),
    "a long string": repeated("select '", "x", "'"),
    "doubled quotes": repeated("select '", "''", "'"),
    "escapes": repeated("select E'", "\\n", "'"),
    "strings that go on": repeated("select E''", "\n''"),
    "strings that might go on": repeated("select E''", " -- x\n"),
    "stars in a comment": repeated("/*", "*", "*/"),
    "nested comments": lambda size: "/*" * (size // 4) + "*/" * (size // 4),
    "a long word": repeated("", "x"),
    "a long tag": repeated("$", "x", "$ $"),
    "tags without an end": repeated("", "$a"),
    "signs": repeated("", "+-"),
    "statements": repeated("", "a;"),
    "words of a routine": repeated("create function f() begin atomic ", "case end "),
    "parentheses": repeated("create table a ", "("),
    "rows": repeated("insert into t values ", "(1, 'a', now(), default),", "(1)"),
    "columns of an insert": repeated("insert into t (", "a,", "b) values (1)"),
    "columns": repeated("create table a (", "b int references c,", "d int)"),
    "tables": repeated("", "create table a (b int references c);"),
    "actions": repeated("alter table a ", "add b int,", "add c int"),
    "actions behind a long comment": lambda size: f"alter table /*{'x' * (size // 2)}*/ a {'b,' * (size // 4)} c",
    "renaming": repeated("", "rename "),
    "dropped names": repeated("drop table ", "a,", "b"),
    "functions": repeated("", "create function f() returns int language sql as 'select 1';"),
    "common tables": repeated("with ", "a as (select 1),", "b as (select 2) insert into t values (1)"),
}


def attribute(text: str) -> None:
    file = SchemaFile(folder="migrations", path="a.sql", content=text.encode())
    FileIndex([file]).changing("nothing", "none")
    occurs(re.compile(_RENAMING.format("nothing"), re.IGNORECASE | re.DOTALL), text)


READERS: dict[str, Callable[[str], object]] = {
    "split": split,
    "checksum": folded_checksum,
    "statements": read_statements,
    "order": order,
    "attribution": attribute,
    "directive": lambda text: directive(text, "gateway"),
}


@pytest.mark.parametrize("reader", READERS)
def test_what_is_read_from_a_file_costs_in_proportion_to_its_size(reader: str) -> None:
    for name, shape in SHAPES.items():
        assert not grows_faster_than_the_input(READERS[reader], shape), name


@pytest.mark.parametrize("setting", ["SET a.b = 1;\n" * 500, f"SET a.b = '{'x' * 6500}';\n"], ids=["many", "long"])
def test_settings_are_not_repeated_for_each_of_many_statements(setting: str) -> None:
    text = setting + "GRANT SELECT ON t TO r;\n" * 1000
    file = SchemaFile(folder="functions", path="a.sql", content=text.encode())
    for files in (other_object_files(Schema(functions=(file,))), statement_files(file)):
        assert sum(len(part.content) for part in files) <= len(text)


def test_many_files_that_make_and_mention_the_same_names_are_put_in_order_without_pairing_them_all() -> None:
    """The steps are the edges between files: some for each file, not one for each pair."""

    def edges(count: int) -> int:
        text = b"create type t as (a int); create view v as select f(t), t from t;"
        files = [SchemaFile(folder="tables", path=f"{number}.sql", content=text) for number in range(count)]
        fillings = {
            file: Filling(
                tables=frozenset({1}), names=frozenset({"t"}), needs=frozenset({1}), mentions=frozenset({"t", "u"})
            )
            for file in files
        }
        tracemalloc.start()
        assert sorted(order_tables(files), key=files.index) == files
        assert len(order_seeders(fillings)) == count
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    assert edges(400) < 12 * edges(50)  # pairs would be 64 times as many


def packed(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=1) as archive:
        for path, content in files.items():
            info = tarfile.TarInfo(path)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def headers_before_a_file(kind: bytes, content: bytes) -> Callable[[int], str]:
    """Archives as text of one byte a character: what is measured reads bytes."""
    header = tarfile.TarInfo("x")
    header.type = kind
    header.size = len(content)
    block = header.tobuf(tarfile.GNU_FORMAT) + content.ljust(-(-len(content) // 512) * 512, b"\0")
    tail = tarfile.TarInfo("tables/a.sql").tobuf() + bytes(1024)
    return lambda size: (block * (size * 32 // len(block)) + tail).decode("latin-1")


ARCHIVES = {
    "global headers": headers_before_a_file(tarfile.XGLTYPE, b"13 comment=a\n"),
    "PAX headers": headers_before_a_file(tarfile.XHDTYPE, b"13 comment=a\n"),
    "long PAX headers": headers_before_a_file(tarfile.XHDTYPE, b"6 a=b\n" * 1000),
    "long names": headers_before_a_file(tarfile.GNUTYPE_LONGNAME, b"tables/" + b"x" * 500),
    "files": headers_before_a_file(tarfile.REGTYPE, b"x"),
    "folders": headers_before_a_file(tarfile.DIRTYPE, b""),
}


@pytest.mark.parametrize("shape", ARCHIVES)
def test_an_archive_costs_in_proportion_to_its_size(shape: str) -> None:
    def read(text: str) -> None:
        read_archive(gzip.compress(text.encode("latin-1"), compresslevel=1))

    assert not grows_faster_than_the_input(read, ARCHIVES[shape])


@pytest.mark.parametrize("kind", [tarfile.XGLTYPE, tarfile.XHDTYPE, tarfile.GNUTYPE_LONGLINK])
def test_headers_are_counted_though_they_are_no_entries(kind: bytes) -> None:
    data = headers_before_a_file(kind, b"13 comment=a\n")(1_000_000)

    with pytest.raises(SchemaExtractionFailed, match="more than 30000 headers"):
        read_archive(gzip.compress(data.encode("latin-1"), compresslevel=1))


def test_the_members_of_a_gzip_file_are_counted() -> None:
    member = gzip.compress(b"")

    with pytest.raises(SchemaExtractionFailed, match="more than 10000 members"):
        read_archive(member * 10_002)


def test_extended_headers_are_limited_in_all() -> None:
    data = headers_before_a_file(tarfile.XHDTYPE, b"1000002 a=" + b"b" * 999_991 + b"\n")(400_000)

    with pytest.raises(SchemaExtractionFailed, match="extended headers of more than 8388608 bytes in all"):
        read_archive(gzip.compress(data.encode("latin-1"), compresslevel=1))


def test_statements_are_counted() -> None:
    with pytest.raises(SchemaExtractionFailed, match="more than 500000 statements") as caught:
        read_archive(packed({"tables/a.sql": b"a;" * 500_001}))
    assert caught.value.file == "tables/a.sql"


LARGE = 16 * 1024 * 1024
LARGE_FILES = {
    "blanks": b"select 1;".ljust(LARGE),
    "string": b"select '" + b"x" * LARGE + b"'",
    "doubled quotes": b"select '" + b"''" * (LARGE // 2) + b"'",
    "escapes": b"select E'" + b"\\n" * (LARGE // 2) + b"'",
    "body": b"select $a$" + b"$b" * (LARGE // 2) + b"$a$",
    "comment": b"/*" + b"*" * LARGE + b"*/",
    "word": b"x" * LARGE,
    "letters of two bytes": b"select '" + "é".encode() * (LARGE // 2) + b"'",
}


@pytest.mark.parametrize("name", LARGE_FILES)
def test_other_threads_go_on_while_a_large_archive_is_read(name: str) -> None:
    """No step keeps Python's lock for as long as going through the whole file takes."""
    data = packed({"tables/a.sql": LARGE_FILES[name]})

    def read() -> None:
        (file,) = read_archive(data).tables
        folded_checksum(file.text)

    reader = threading.Thread(target=read)
    turns: list[float] = []  # what the reader had used of the processor at each turn of this thread
    reader.start()
    clock = time.pthread_getcpuclockid(reader.ident or 0)
    while reader.is_alive():
        try:
            turns.append(time.clock_gettime(clock))
        except OSError:
            break
        time.sleep(0.0005)
    reader.join()

    longest = sorted((after - before for before, after in zip([0.0, *turns], turns, strict=False)), reverse=True)
    assert len(turns) > 10
    assert longest[1] < 0.1  # the first is allowed for what the machine does besides


def schemas(count: int) -> Iterator[Schema]:
    for number in range(count):
        rows = b",".join(b"(%d, 'row')" % row for row in range(1000))
        yield read_archive(
            packed(
                {
                    "tables/a.sql": b"create table t%d (a int, b text)" % number,
                    "seeders/a.sql": b"insert into t%d values " % number + rows,
                    "migrations/a.sql": b"select '%d';" % number + b"x" * 1_000_000,
                }
            )
        )


def test_nothing_of_large_schemas_is_remembered() -> None:
    def work(schema: Schema) -> None:
        order_tables(schema.tables)
        order_migrations(schema.migrations, schema.tables)
        for file in schema.files():
            assert script_of(file).body
            assert script_of(file).checksum

    for schema in schemas(1):
        work(schema)
    gc.collect()
    tracemalloc.start()
    for schema in schemas(8):
        work(schema)
    del schema
    left = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert left < 200_000
