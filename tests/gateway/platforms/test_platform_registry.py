"""The registry of platforms and stored schemas: not damaged by parallel writers, crashes or a full disk."""

from __future__ import annotations

import hashlib
import os
import resource
import shutil
import sys
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway.errors import (
    InvalidRequest,
    PlatformAlreadyRegistered,
    PlatformNotFound,
    SchemaNotFound,
    StorageFailed,
)
from gateway.platforms import PlatformRegistry, SchemaUpload


def upload(number: int, **more: str) -> SchemaUpload:
    """Return a schema of three files that all contain the same number."""
    files = {f"{folder}/a.sql": f"-- {number}".encode() for folder in ("tables", "functions", "seeders/deep")}
    return SchemaUpload(files=files, checksum=hashlib.sha256(str(number).encode()).hexdigest(), **more)


def content(folder: Path) -> Mapping[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture
def registry(tmp_path) -> PlatformRegistry:
    return PlatformRegistry(tmp_path)


def files_of(registry: PlatformRegistry, platform: str, schema: str) -> Mapping[str, bytes]:
    return content(registry.folder(platform, schema, registry.schema(platform, schema).current))


def test_a_platform_is_registered_once_and_found_by_every_registry_of_the_folder(registry, tmp_path) -> None:
    registry.register("my app")
    assert PlatformRegistry(tmp_path).get("my app") == registry.get("my app")
    with pytest.raises(PlatformAlreadyRegistered, match="'my app' is already registered"):
        PlatformRegistry(tmp_path).register("my app")


def test_a_missing_platform_or_schema_is_reported(registry) -> None:
    for name in ("nobody", "x" * 5000):
        with pytest.raises(PlatformNotFound):
            registry.get(name)
    with pytest.raises(PlatformNotFound):
        registry.store("nobody", "s", upload(1))
    registry.register("a")
    with pytest.raises(SchemaNotFound, match="'s'"):
        registry.schema("a", "s")


def test_names_that_no_database_could_have_are_refused(registry) -> None:
    with pytest.raises(InvalidRequest, match="63"):
        registry.register("p" * 60)
    registry.register("a")
    with pytest.raises(InvalidRequest, match="63"):
        registry.store("a", "s" * 60, upload(1))
    with pytest.raises(InvalidRequest, match=r"platform\.json"):
        registry.store("a", "platform.json", upload(1))
    assert registry.get("a").schemas == {}


def test_folders_that_are_no_platforms_are_not_listed(registry, tmp_path) -> None:
    registry.register("b")
    registry.register("a")
    (tmp_path / ".connections").mkdir()
    (tmp_path / "lost+found").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "platform.json").write_text("{}")
    assert [platform.name for platform in registry.all()] == ["a", "b"]
    with pytest.raises(StorageFailed, match="damaged"):
        registry.get("broken")


def test_every_version_is_kept_with_its_time_and_sender(registry, tmp_path) -> None:
    registry.register("a")
    for number in (1, 2, 2, 1):
        registry.store("a", "s", upload(number, sent_by="10.0.0.7", request_id=f"r{number}"))
    schema = registry.schema("a", "s")
    assert [version.request_id for version in schema.versions] == ["r1", "r2", "r1"]
    assert {version.sent_by for version in schema.versions} == {"10.0.0.7"}
    assert schema.current.folders == ("functions", "seeders", "tables")
    assert schema.find(upload(2).checksum[:12]) == schema.versions[1]
    assert schema.find("0000") is None
    for version, number in zip(schema.versions, (1, 2, 1), strict=True):
        assert content(registry.folder("a", "s", version)) == upload(number).files
    assert content(tmp_path / "a" / "s") == upload(1).files  # the link for people


def test_a_folder_in_the_place_of_the_link_is_kept_aside(registry, tmp_path) -> None:
    registry.register("a")
    (tmp_path / "a" / "s" / "tables").mkdir(parents=True)
    (tmp_path / "a" / "s" / "tables" / "old.sql").write_text("--")
    registry.store("a", "s", upload(1))
    assert content(tmp_path / "a" / "s") == upload(1).files
    assert [path.read_text() for path in tmp_path.rglob("old.sql")] == ["--"]


@pytest.mark.parametrize("damage", ["change", "lose a file", "add", "lose"])
def test_another_upload_restores_files_that_were_changed_or_lost(registry, tmp_path, damage) -> None:
    registry.register("a")
    stored = registry.folder("a", "s", registry.store("a", "s", upload(1)))
    if damage == "lose":
        shutil.rmtree(stored)
    elif damage == "lose a file":
        (stored / "tables/a.sql").unlink()
    else:
        (stored / "tables" / ("a.sql" if damage == "change" else "b.sql")).write_text("-- by hand")
    registry.store("a", "s", upload(1))
    assert files_of(registry, "a", "s") == content(tmp_path / "a" / "s") == upload(1).files
    assert len(registry.schema("a", "s").versions) == 1
    kept = [path.read_text() for path in stored.parent.glob("found-*/tables/[ab].sql")]
    assert ("-- by hand" in kept) == (damage in ("change", "add"))


@pytest.mark.parametrize("name", ["tables/a.sql/b.sql", f"tables/{'n' * 300}.sql"])
def test_a_file_that_cannot_be_stored_under_its_name_is_refused(registry, name) -> None:
    registry.register("a")
    registry.store("a", "s", upload(1))
    files = {**upload(2).files, name: b"--"}
    with pytest.raises(InvalidRequest, match="cannot be stored"):
        registry.store("a", "s", SchemaUpload(files=files, checksum="2" * 64))
    assert files_of(registry, "a", "s") == upload(1).files


def test_parallel_writers_of_two_gateways_lose_nothing(tmp_path) -> None:
    registries = [PlatformRegistry(tmp_path), PlatformRegistry(tmp_path)]
    registries[0].register("a")
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            for schema in registries[0].get("a").schemas.values():
                found = content(registries[1].folder("a", schema.name, schema.current))
                assert len(set(found.values())) == 1
                assert len(found) == 3

    with ThreadPoolExecutor(12) as threads:
        reader = threads.submit(read)
        stored = [
            threads.submit(registries[n % 2].store, "a", f"s{n % 3}", upload(n, request_id=str(n))) for n in range(30)
        ]
        for one in stored:
            one.result()
        stop.set()
        reader.result()
    versions = [version for schema in registries[0].get("a").schemas.values() for version in schema.versions]
    assert sorted(int(version.request_id) for version in versions) == list(range(30))


def test_of_parallel_registrations_one_succeeds(registry) -> None:
    with ThreadPoolExecutor(8) as threads:
        found = [threads.submit(registry.register, "a") for _ in range(8)]
        failures = [one.exception() for one in found]
    assert [type(failure) for failure in failures if failure] == [PlatformAlreadyRegistered] * 7


@contextmanager
def files_limited_to(size: int):
    """No file of this process can grow beyond *size* bytes: the kernel refuses to write, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("limit", [0, 10, 200])
def test_a_disk_that_takes_no_more_is_a_clear_error_and_loses_nothing(registry, tmp_path, limit) -> None:
    registry.register("a")
    registry.store("a", "s", upload(1))
    before = content(tmp_path)
    big = SchemaUpload(files={"tables/a.sql": b"--" * 90}, checksum="2" * 64)
    with files_limited_to(limit), pytest.raises(StorageFailed, match="DATA_DIR"):
        registry.store("a", "s", big)
    with files_limited_to(10), pytest.raises(StorageFailed, match="DATA_DIR"):
        registry.register("b")
    left = {path: text for path, text in content(tmp_path).items() if "2222" not in path and not path.startswith("b/")}
    assert left == before
    registry.register("b")
    registry.store("a", "s", big)
    assert files_of(registry, "a", "s") == big.files


def killed_after(count: int, act: Callable[[], object]) -> bool:
    """Run *act* in a process that ends without a word when it opens, makes or renames for the *count*-th time.

    Return whether it came to its end before.
    """
    child = os.fork()
    if child == 0:
        left = count

        def look(event: str, _arguments: object) -> None:
            nonlocal left
            if event in {"open", "os.rename", "os.mkdir", "os.symlink", "os.remove", "os.rmdir"}:
                left -= 1
                if left == 0:
                    os._exit(9)

        sys.addaudithook(look)
        code = 1
        try:
            act()
            code = 0
        finally:  # the child must not continue with the tests
            os._exit(code)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in {0, 9}
    return status == 0


@pytest.mark.slow
def test_a_writer_killed_anywhere_leaves_the_old_or_the_new(registry, tmp_path) -> None:
    registry.register("a")
    registry.store("a", "s", upload(0))
    number = count = 0
    finished = False
    while not finished:
        count += 1
        number += 1
        finished = killed_after(count, lambda new=number: PlatformRegistry(tmp_path).store("a", "s", upload(new)))
        versions = [version.checksum for version in registry.schema("a", "s").versions]
        assert files_of(registry, "a", "s") in (upload(number).files, upload(number - 1).files)
        registry.mend()
        assert not list(tmp_path.rglob(".incoming-*"))
        assert content(tmp_path / "a" / "s") == files_of(registry, "a", "s")
        registry.store("a", "s", upload(number))
        assert versions == [one.checksum for one in registry.schema("a", "s").versions][: len(versions)]
        assert files_of(registry, "a", "s") == upload(number).files
    assert count > 10
    assert registry.mend() == ()


def test_a_registration_killed_anywhere_can_be_repeated(registry, tmp_path) -> None:
    count, finished = 0, False
    while not finished:
        count += 1
        finished = killed_after(count, lambda name=f"p{count}": PlatformRegistry(tmp_path).register(name))
        names = [platform.name for platform in registry.all()]
        if f"p{count}" not in names:
            registry.register(f"p{count}")
        assert registry.get(f"p{count}").schemas == {}
    assert len(registry.all()) == count > 2
