"""Archives that are damaged, unsafe or too large are refused, and cost little."""

from __future__ import annotations

import gzip
import io
import tarfile
import tracemalloc
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from migrations_engine.errors import SchemaExtractionFailed
from migrations_engine.source.archive import read_archive
from migrations_engine.source.layout import ArchiveLimits
from tests.migrations_engine.source.archives import USERS, labels, packed, refusal, tar_of, with_entry


class TestUnsafeEntries:
    @pytest.mark.parametrize(
        ("kind", "words"),
        [
            (tarfile.SYMTYPE, "a symbolic link"),
            (tarfile.LNKTYPE, "a hard link"),
            (tarfile.CHRTYPE, "a device"),
            (tarfile.BLKTYPE, "a device"),
            (tarfile.FIFOTYPE, "a named pipe"),
            (tarfile.GNUTYPE_SPARSE, "a sparse file"),
            (b"V", "an entry of kind b'V'"),
        ],
    )
    def test_only_files_and_folders_are_taken(self, kind: bytes, words: str) -> None:
        def change(info: tarfile.TarInfo) -> None:
            info.type = kind
            info.linkname = "/etc/passwd"

        message = refusal(with_entry(change))

        assert message == f"tables/odd.sql is {words}; a schema consists of files and folders only"

    @pytest.mark.parametrize(
        ("path", "words"),
        [
            ("/tables/users.sql", "is an absolute path"),
            ("tables/../../users.sql", "leads out of the folder"),
            ("..", "leads out of the folder"),
            ("tables/a\nb.sql", r"tables/a\x0ab.sql contains a control character"),
            ("/".join("abcdefghijklmnopq") + "/users.sql", "is more than 16 names deep"),
            (f"tables/{'x' * 1100}.sql", "is longer than 1024 bytes"),
        ],
    )
    def test_paths_stay_within_the_folder(self, path: str, words: str) -> None:
        assert words in refusal(packed({path: USERS}))

    def test_a_path_with_a_nul_is_refused(self) -> None:
        data = tar_of({"tables/users.sql": USERS, f"tables/{'ä' * 80}.sql": USERS})
        spoiled = data.replace(("ä" * 80).encode(), ("ä" * 79).encode() + b"\x00x")

        assert "control character" in refusal(gzip.compress(spoiled))

    def test_a_name_that_is_not_utf8_is_refused(self) -> None:
        data = tar_of({"tables/jos?.sql": USERS}, tarfile.USTAR_FORMAT)
        header = bytearray(data[:512])
        header[header.index(b"?")] = 0xE9
        header[148:156] = b" " * 8
        header[148:156] = b"%06o\0 " % sum(header)

        assert r"the name tables/jos\xe9.sql is not UTF-8" in refusal(gzip.compress(bytes(header) + data[512:]))

    @pytest.mark.parametrize("again", ["tables/users.sql", "./tables/users.sql", "tables//users.sql"])
    def test_a_file_that_comes_twice_is_refused(self, again: str) -> None:
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
            for name in ("tables/users.sql", again):
                archive.addfile(tarfile.TarInfo(name))

        assert "tables/users.sql is in the archive twice" in refusal(buffer.getvalue())

    def test_a_file_without_a_name_is_refused(self) -> None:
        assert "a file without a name" in refusal(packed({"tables/users.sql": USERS, ".": USERS}))

    def test_a_sparse_file_in_pax_headers_is_refused(self) -> None:
        def change(info: tarfile.TarInfo) -> None:
            info.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.name": "x"}

        assert "is a sparse file" in refusal(with_entry(change))


class TestRubbish:
    @pytest.mark.parametrize(
        ("data", "words"),
        [
            (b"", "the archive is empty"),
            (b"rubbish", "is not a gzip file; pack with tar -czf"),
            (tar_of({"tables/users.sql": USERS}), "is a tar archive that is not compressed"),
            (b"PK\x03\x04zip", "is a zip archive"),
            (b"BZh91AY", "is compressed with bzip2"),
            (gzip.compress(b""), "the archive is cut off"),
            (gzip.compress(b"SELECT 1" * 100), "there is no tar archive in the gzip file"),
            (gzip.compress(bytes(1024)), "there is nothing in it"),
            (packed({"readme.txt": b"hello"}), "there is no schema folder; at least one of extensions/, types/"),
            (packed({"src/app/main.php": b"<?php"}), "there is no schema folder"),
        ],
        ids=range(10),
    )
    def test_what_is_no_schema_is_refused_with_advice(self, data: bytes, words: str) -> None:
        assert words in refusal(data)

    def test_a_cut_gzip_file_is_refused_wherever_it_is_cut(self) -> None:
        data = packed({"tables/users.sql": USERS, "tables/b.sql": bytes(range(32, 127)) * 40})

        messages = {refusal(data[:length]) for length in range(20, len(data), 7)}

        assert messages == {"the gzip file is cut off before its end; pack and send it again"}

    @pytest.mark.parametrize("length", [512, 1024, 1500, 2048])
    def test_a_cut_tar_archive_is_refused_though_its_gzip_is_whole(self, length: int) -> None:
        data = tar_of({"tables/a.sql": USERS, "tables/b.sql": USERS})

        assert "cut off" in refusal(gzip.compress(data[:length]))

    def test_a_damaged_header_loses_no_file_in_silence(self) -> None:
        data = bytearray(tar_of({"tables/a.sql": USERS, "tables/b.sql": USERS}))
        data[1024 + 3] ^= 0xFF

        assert "damaged at byte 1024" in refusal(gzip.compress(bytes(data)))

    def test_a_flipped_bit_is_noticed_by_the_checksum_of_gzip(self) -> None:
        stored = bytearray(zlib_stored(tar_of({"tables/a.sql": USERS})))
        stored[stored.index(b"users")] ^= 0x01

        assert "the gzip file is damaged" in refusal(bytes(stored))

    def test_bytes_after_the_end_are_refused(self) -> None:
        data = tar_of({"tables/a.sql": USERS})

        assert "something follows the end" in refusal(gzip.compress(data + b"rubbish"))
        assert "gzip file is damaged" in refusal(gzip.compress(data) + b"rubbish")

    def test_padding_after_the_end_and_several_gzip_members_are_fine(self) -> None:
        data = tar_of({"tables/a.sql": USERS})

        assert labels(read_archive(gzip.compress(data[:700]) + gzip.compress(data[700:]) + bytes(100))) == [
            "tables/a.sql"
        ]

    def test_a_damaged_extended_header_is_refused(self) -> None:
        data = tar_of({f"tables/{'x' * 120}.sql": USERS})
        position = data.index(b" path=")
        for damage in (b"\xff", b"9", b"x"):
            spoiled = data[: position - 1] + damage + data[position:]
            assert "damaged" in refusal(gzip.compress(spoiled))

    def test_a_size_below_zero_is_refused(self) -> None:
        header = bytearray(tarfile.TarInfo("tables/a.sql").tobuf())
        header[124:136] = b"\xff" * 12
        header[148:156] = b" " * 8
        header[148:156] = b"%06o\0 " % sum(header)

        assert "damaged at byte 0: a size below zero" in refusal(gzip.compress(bytes(header) + bytes(1024)))

    def test_a_size_in_an_extended_header_counts(self) -> None:
        def archive(size: str) -> bytes:
            info = tarfile.TarInfo("tables/a.sql")
            info.pax_headers = {"size": size}
            return gzip.compress(info.tobuf() + USERS.ljust(512, b"\0") + bytes(1024))

        assert read_archive(archive(str(len(USERS)))).tables[0].content == USERS
        assert "has no proper size" in refusal(archive("-1"))

    def test_headers_for_the_whole_archive_are_passed_over(self) -> None:
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w:gz", pax_headers={"comment": "0123456789abcdef"}) as archive:
            archive.addfile(tarfile.TarInfo("tables/a.sql"))

        assert labels(read_archive(buffer.getvalue())) == ["tables/a.sql"]


def zlib_stored(data: bytes) -> bytes:
    """A gzip file without compression, so that a byte of *data* can be changed in it."""
    squeezer = zlib.compressobj(level=0, wbits=31)
    return squeezer.compress(data) + squeezer.flush()


class TestLimits:
    @pytest.mark.slow
    def test_a_gigabyte_of_zeros_costs_little_memory(self) -> None:
        squeezer = zlib.compressobj(level=9, wbits=31)
        header = tarfile.TarInfo("tables/zeros.sql")
        header.size = 1 << 30
        chunk = bytes(1 << 20)
        parts = [squeezer.compress(header.tobuf()), *(squeezer.compress(chunk) for _ in range(1024)), squeezer.flush()]
        bomb = b"".join(parts)

        tracemalloc.start()
        message = refusal(bomb)
        as_file_peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()

        assert message == "tables/zeros.sql has 1073741824 bytes, 67108864 are allowed in one file"
        assert as_file_peak < 8 * 1024 * 1024

    def test_zeros_after_the_end_are_counted(self) -> None:
        bomb = gzip.compress(tar_of({"tables/a.sql": USERS}) + bytes(10_000_000))

        assert (
            refusal(bomb, ArchiveLimits(max_unpacked_bytes=1_000_000))
            == "the archive unpacks to more than 1000000 bytes"
        )

    def test_entries_are_counted(self) -> None:
        data = packed({f"tables/{number}.sql": b"" for number in range(11)})

        assert len(read_archive(data, ArchiveLimits(max_entries=11)).tables) == 11
        assert "more than 10 files and folders" in refusal(data, ArchiveLimits(max_entries=10))

    def test_a_hundred_thousand_entries_are_refused_after_ten_thousand(self) -> None:
        folder = tarfile.TarInfo("tables/x")
        folder.type = tarfile.DIRTYPE
        one = folder.tobuf()
        squeezer = zlib.compressobj(level=1, wbits=31)
        data = b"".join([*(squeezer.compress(one * 1000) for _ in range(100)), squeezer.flush()])

        assert "more than 10000 files and folders" in refusal(data)

    def test_a_file_left_alone_counts_towards_the_size(self) -> None:
        data = packed({"tables/users.sql": USERS, "dump.bin": bytes(100_000)})

        assert "unpacks to more than 50000" in refusal(data, ArchiveLimits(max_unpacked_bytes=50_000))

    @pytest.mark.parametrize("as_stream", [True, False])
    def test_the_compressed_size_is_limited(self, as_stream: bool) -> None:
        data = packed({"tables/users.sql": USERS})
        limits = ArchiveLimits(max_compressed_bytes=len(data) - 1)

        with pytest.raises(SchemaExtractionFailed, match="the archive has more than"):
            read_archive(io.BytesIO(data) if as_stream else data, limits)

    def test_a_long_chain_of_extended_headers_is_followed_without_recursion(self) -> None:
        header = tarfile.TarInfo("x")
        header.type = tarfile.GNUTYPE_LONGNAME
        header.size = 5
        name = header.tobuf(tarfile.GNU_FORMAT) + b"t/a.s".ljust(512, b"\0")

        schema = read_archive(gzip.compress(name * 20_000 + tar_of({"tables/a.sql": USERS, "tables/b.sql": USERS})))

        assert labels(schema) == ["tables/b.sql"]
        assert schema.warnings == ("t/ is not a folder of a schema and was left alone (a.s)",)

    def test_an_extended_header_is_limited(self) -> None:
        header = tarfile.TarInfo("x")
        header.type = tarfile.XHDTYPE
        header.size = 2 * 1024 * 1024

        assert "extended header of 2097152 bytes" in refusal(gzip.compress(header.tobuf() + bytes(header.size + 1024)))


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=2000))
def test_random_bytes_are_refused_and_nothing_else_happens(data: bytes) -> None:
    for attempt in (data, gzip.compress(data), b"\x1f\x8b" + data):
        with pytest.raises(SchemaExtractionFailed):
            read_archive(attempt)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4095), st.integers(0, 255)), min_size=1, max_size=8), st.booleans())
def test_a_spoiled_archive_is_read_or_refused_and_nothing_else_happens(
    damage: list[tuple[int, int]], before_compression: bool
) -> None:
    files = {"tables/a.sql": USERS, f"tables/{'y' * 120}.sql": USERS, "seeders/": b""}
    data = bytearray(tar_of(files) if before_compression else packed(files))
    for position, value in damage:
        data[position % len(data)] = value
    try:
        schema = read_archive(gzip.compress(bytes(data)) if before_compression else bytes(data))
    except SchemaExtractionFailed:
        return
    assert all(file.text for file in schema.files() if file.content)
