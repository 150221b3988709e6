"""Files that exist complete or not at all, also after a crash: written aside, flushed, then renamed."""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from gateway.errors import InvalidRequest, StorageFailed

LOCK_FILE: Final = ".lock"
INCOMING: Final = ".incoming-"  #: files being written; those that no process has locked are leftovers

#: The names themselves are at fault, not the disk.
_NAME_ERRORS: Final = frozenset({errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENOTEMPTY})


@contextmanager
def storage_failures(doing: str) -> Iterator[None]:
    """Raise errors of the operating system as ``StorageFailed``.

    :param doing: what was tried, to follow "the gateway could not"
    :raises StorageFailed: the disk is full, read-only, broken …
    """
    try:
        yield
    except OSError as exc:
        where = f": {exc.filename}" if exc.filename else ""
        raise StorageFailed(
            f"the gateway could not {doing}: {exc.strerror or exc}{where}. Nothing was changed; "
            "check the free space and the permissions of DATA_DIR, then repeat the request"
        ) from exc


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock on *folder*, against all threads, workers and gateways that write to it. Readers need no lock.

    The kernel releases the lock when its holder ends, also if it is killed.
    """
    descriptor = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def make_folder(folder: Path) -> None:
    """Create *folder* if it is missing, and flush it, so that it survives a crash."""
    if not folder.is_dir():
        folder.mkdir(exist_ok=True)
        _flush_folder(folder.parent)


def write_file(path: Path, text: str, *, durable: bool = True) -> None:
    """Replace the file at *path*. Concurrent readers see the old or the new content.

    :param durable: flush it, so that it survives a crash of the machine and not only of the process
    """
    aside = path.parent / f"{INCOMING}{secrets.token_hex(8)}"
    try:
        _write(aside, text.encode(), durable=durable)
        aside.replace(path)
    except OSError:
        aside.unlink(missing_ok=True)
        raise
    if durable:
        _flush_folder(path.parent)


def write_tree(folder: Path, files: Mapping[str, bytes]) -> None:
    """Create *folder* with *files* in it, by their relative paths. Do nothing if it exists.

    :raises InvalidRequest: the paths cannot be in one folder
    """
    if folder.is_dir():
        return
    aside = folder.parent / f"{INCOMING}{secrets.token_hex(8)}"
    try:
        aside.mkdir()
        for relative, content in files.items():
            path = aside / relative
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                _write(path, content)
            except OSError as exc:
                if exc.errno in _NAME_ERRORS:
                    raise InvalidRequest(f"{relative} cannot be stored as a file: {exc.strerror}; rename it") from exc
                raise
        for made, _, _ in os.walk(aside):
            _flush_folder(Path(made))
        aside.rename(folder)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)  # what is left of it is removed by the next writer
        raise
    _flush_folder(folder.parent)


def read_tree(folder: Path) -> dict[str, bytes]:
    """Return the files in *folder*, by their relative paths."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def point_link(link: Path, target: str) -> None:
    """Point the symbolic link *link* to *target*, atomically."""
    if link.is_symlink() and str(link.readlink()) == target:
        return
    aside = link.parent / f"{INCOMING}{secrets.token_hex(8)}"
    aside.symlink_to(target)
    aside.replace(link)
    _flush_folder(link.parent)


def remove_leftovers(folder: Path) -> int:
    """Remove unfinished files and folders from *folder*, which must be locked, and return their number."""
    found = list(folder.glob(f"{INCOMING}*"))
    for path in found:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    return len(found)


def _write(path: Path, content: bytes, *, durable: bool = True) -> None:
    with path.open("xb") as file:
        file.write(content)
        if durable:
            file.flush()
            os.fsync(file.fileno())


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
