"""Archives: what is read, what is left alone, and what is refused with which words."""

from __future__ import annotations

import io
import tarfile

import pytest

from migrations_engine.errors import SchemaExtractionFailed
from migrations_engine.schema import Schema
from migrations_engine.source.archive import read_archive
from tests.migrations_engine.source.archives import USERS, labels, packed, refusal


class TestLayouts:
    @pytest.mark.parametrize("prefix", ["", "./", "postgresql/", "./postgresql/", "my schema/", "src/App/postgresql/"])
    def test_the_schema_folder_may_be_the_root_or_lie_within_others(self, prefix: str) -> None:
        schema = read_archive(packed({f"{prefix}tables/users.sql": USERS, f"{prefix}functions/a.pssql": b"SELECT 1"}))

        assert labels(schema) == ["tables/users.sql", "functions/a.pssql"]
        assert schema.tables[0].content == USERS
        assert schema.warnings == ()

    def test_folder_entries_make_no_difference(self) -> None:
        files = {"postgresql/tables/users.sql": USERS}
        with_folders = {"./": b"", "./postgresql/": b"", "./postgresql/tables/": b"", **files}

        assert read_archive(packed(with_folders)) == read_archive(packed(files))

    def test_the_order_of_the_entries_makes_no_difference(self) -> None:
        files = {f"{folder}/{name}.sql": USERS for folder in ("tables", "types", "seeders") for name in "cab"}

        assert read_archive(packed(files)) == read_archive(packed(dict(reversed(files.items()))))

    def test_files_are_sorted_by_path_within_each_folder_and_folders_come_in_the_order_of_a_deploy(self) -> None:
        names = ["seeders/a.sql", "tables/z.sql", "tables/billing/002.sql", "tables/a.sql", "extensions/x.sql"]

        assert labels(read_archive(packed(dict.fromkeys(names, USERS)))) == [
            "extensions/x.sql",
            "tables/a.sql",
            "tables/billing/002.sql",
            "tables/z.sql",
            "seeders/a.sql",
        ]

    @pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
    def test_long_and_foreign_names_survive(self, form: int) -> None:
        name = f"tables/{'sub/' * 3}{'ä' * 60}{'x' * 90}.sql"

        assert labels(read_archive(packed({name: USERS}, form))) == [name]

    def test_names_split_over_a_prefix_are_joined(self) -> None:
        name = f"{'p' * 90}/tables/{'x' * 60}.sql"

        assert labels(read_archive(packed({name: USERS}, tarfile.USTAR_FORMAT))) == [f"tables/{'x' * 60}.sql"]

    def test_a_folder_named_like_one_of_the_schema_may_lie_within_another(self) -> None:
        schema = read_archive(packed({"db/tables/functions/users.sql": USERS}))

        assert labels(schema) == ["tables/functions/users.sql"]

    def test_an_empty_schema_folder_is_an_empty_schema(self) -> None:
        assert read_archive(packed({"postgresql/tables/": b""})) == Schema()
        assert read_archive(packed({"postgresql/tables/.gitkeep": b""})) == Schema()

    def test_the_shallower_of_two_schema_folders_counts(self) -> None:
        schema = read_archive(packed({"tables/users.sql": USERS, "old/postgresql/tables/users.sql": b"SELECT 1"}))

        assert [file.content for file in schema.files()] == [USERS]
        assert schema.warnings == ("old/ is not a folder of a schema and was left alone (users.sql)",)

    def test_two_schema_folders_of_equal_depth_are_refused(self) -> None:
        message = refusal(packed({"new/tables/users.sql": USERS, "old/tables/users.sql": USERS}))

        assert "more than one schema folder (new/, old/)" in message

    def test_an_archive_comes_from_a_stream_as_well(self) -> None:
        data = packed({"tables/users.sql": USERS})

        assert read_archive(io.BytesIO(data)) == read_archive(data)


class TestWhatIsLeftAlone:
    def test_hidden_files_and_those_of_macos_are_ignored_silently(self) -> None:
        hidden = ["tables/._users.sql", "._tables", "tables/.hidden.sql", ".git/tables/x.sql", "tables/.gitkeep"]

        schema = read_archive(packed({"tables/users.sql": USERS, **dict.fromkeys(hidden, b"\x00\x05\x16\x07")}))

        assert labels(schema) == ["tables/users.sql"]
        assert schema.warnings == ()

    def test_documentation_is_ignored_silently(self) -> None:
        schema = read_archive(packed(dict.fromkeys(["tables/README.md", "LICENSE", "tables/users.sql"], USERS)))

        assert schema.warnings == ()

    def test_unknown_folders_are_named(self) -> None:
        schema = read_archive(packed(dict.fromkeys(["tables/users.sql", "views/a.sql", "views/b.sql"], USERS)))

        assert labels(schema) == ["tables/users.sql"]
        assert schema.warnings == ("views/ is not a folder of a schema and was left alone (a.sql, b.sql)",)

    def test_an_unknown_empty_folder_is_named(self) -> None:
        schema = read_archive(packed({"x/tables/users.sql": USERS, "x/views/": b""}))

        assert schema.warnings == ("views/ is not a folder of a schema and was left alone",)

    def test_folder_names_count_as_they_are_spelled(self) -> None:
        schema = read_archive(packed({"tables/users.sql": USERS, "Functions/a.sql": b"SELECT 1"}))

        assert schema.functions == ()
        assert schema.warnings == ("Functions/ is not a folder of a schema and was left alone (a.sql)",)
        assert "Tables/ is spelled differently" in refusal(packed({"Tables/users.sql": USERS}))

    def test_files_of_other_kinds_and_files_beside_the_folders_are_named(self) -> None:
        names = ["pg/tables/users.sql", "pg/tables/users.php", "pg/all.sql", "composer.json"]

        assert read_archive(packed(dict.fromkeys(names, USERS))).warnings == (
            "beside the schema's folders, left alone: composer.json, all.sql",
            "tables/ contains files that are not SQL, left alone: users.php",
        )

    def test_many_unknown_folders_make_few_warnings(self) -> None:
        schema = read_archive(packed({"tables/users.sql": USERS, **{f"x{n}/a.sql": b"" for n in range(50)}}))

        assert len(schema.warnings) == 21
        assert schema.warnings[-1] == "30 more folders were left alone"

    @pytest.mark.parametrize("suffix", ["sql", "pgsql", "pssql", "SQL"])
    def test_every_suffix_of_sql_is_read(self, suffix: str) -> None:
        assert labels(read_archive(packed({f"tables/users.{suffix}": USERS}))) == [f"tables/users.{suffix}"]


class TestText:
    def test_a_byte_order_mark_is_dropped(self) -> None:
        assert read_archive(packed({"tables/users.sql": b"\xef\xbb\xbf" + USERS})).tables[0].content == USERS

    def test_other_encodings_are_refused_with_file_and_place(self) -> None:
        data = packed({"pg/tables/users.sql": "-- ok\nSELECT 'José'".encode("latin-1")})

        with pytest.raises(SchemaExtractionFailed) as caught:
            read_archive(data)

        assert caught.value.file == "tables/users.sql"
        assert "byte 0xe9 at position 17 (line 2)" in caught.value.message

    def test_utf16_is_refused_by_name(self) -> None:
        assert "tables/users.sql is UTF-16" in refusal(packed({"tables/users.sql": USERS.decode().encode("utf-16")}))

    def test_nul_bytes_are_refused(self) -> None:
        assert "NUL byte at position 6" in refusal(packed({"tables/users.sql": b"SELECT\x00 1"}))

    def test_a_file_that_is_left_alone_may_contain_anything(self) -> None:
        assert labels(read_archive(packed({"tables/users.sql": USERS, "tables/logo.png": b"\x89PNG\x00\xff"}))) == [
            "tables/users.sql"
        ]
