"""Unusual archives and schema files: valid ones, damaged ones, and ones with wrong headers."""

from __future__ import annotations

import gzip
import io
import tarfile
import zlib
from random import Random

from tests.fuzz.values import FOLDERS, NAMES, PIECES, STATEMENTS


def random_sql(rng: Random) -> str:
    """Return statements, some of them damaged; now and then one shape many times over."""
    if rng.random() < 0.1:
        return rng.choice(PIECES) * rng.choice((1, 100, 10_000))
    text = ";\n".join(rng.choice(STATEMENTS) for _ in range(rng.randint(0, 4)))
    for _ in range(rng.choice((0, 0, 0, 1, 3, 20))):
        at = rng.randint(0, len(text))
        text = text[:at] + rng.choice(PIECES) + text[at + rng.choice((0, 0, 1, 5)) :]
    return text


def _content(rng: Random) -> bytes:
    return rng.choice(
        (
            random_sql(rng).encode("utf-8", "surrogatepass"),
            random_sql(rng).encode("utf-16"),
            random_sql(rng).encode("latin-1", "replace"),
            rng.randbytes(rng.randint(0, 2000)),
            b"",
        )
        if rng.random() < 0.3
        else (random_sql(rng).encode(),)
    )


def _entry(rng: Random) -> tarfile.TarInfo:
    if rng.random() < 0.7:  # else hardly an archive would be read to its end
        return tarfile.TarInfo(f"postgresql/{rng.choice(FOLDERS[:6])}/{rng.randrange(10**6)}.sql")
    folder, name = rng.choice(FOLDERS), rng.choice(NAMES)
    entry = tarfile.TarInfo(
        rng.choice(("", "postgresql/", "./postgresql/", "a/b/")) + (f"{folder}/{name}" if folder else name)
    )
    if rng.random() < 0.15:
        entry.type = rng.choice(
            (
                tarfile.DIRTYPE,
                tarfile.SYMTYPE,
                tarfile.LNKTYPE,
                tarfile.CHRTYPE,
                tarfile.FIFOTYPE,
                b"S",
                b"Z",
                b"x",
                b"g",
            )
        )
        entry.linkname = rng.choice(("", "../../x", "/etc/passwd", "a.sql"))
    if rng.random() < 0.1:
        entry.mtime = rng.choice((-1, 0, 2**33, 2**62))
        entry.mode = rng.choice((0, 0o7777, 0o100644))
    if rng.random() < 0.1:
        entry.pax_headers = {
            rng.choice(("path", "size", "mtime", "comment", "GNU.sparse.name", "é")): rng.choice(
                ("", "1", "-5", "x" * 3000, "../x", "999999999999")
            )
        }
    return entry


def _damaged(rng: Random, data: bytes) -> bytes:
    """Return *data* with bytes changed, cut off, doubled or put at its end."""
    if not data:
        return data
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 3, 50))):
        at = rng.randrange(len(changed))
        changed[at] = rng.choice((0, 0x20, 0x30, 0x37, 0x80, 0xFF, rng.randrange(256)))
    match rng.randrange(5):
        case 0:
            return bytes(changed[: rng.randint(0, len(changed))])
        case 1:
            return bytes(changed) + rng.randbytes(rng.randint(1, 600))
        case 2:
            at = rng.randrange(len(changed))
            return bytes(changed[:at] + changed[max(0, at - 512) :])
        case _:
            return bytes(changed)


def random_archive(rng: Random) -> bytes:
    """Return what claims to be a gzip-compressed tar archive, or does not even claim it."""
    buffer = io.BytesIO()
    style = rng.choice((tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT))
    with tarfile.open(fileobj=buffer, mode="w", format=style) as tar:
        for _ in range(rng.choice((0, 1, 1, 2, 5, 30))):
            content = _content(rng)
            entry = _entry(rng)
            entry.size = len(content) if entry.isreg() else 0
            try:
                tar.addfile(entry, io.BytesIO(content))
            except ValueError:  # a name or number that this style has no room for
                continue
    plain = buffer.getvalue()
    if rng.random() < 0.3:
        plain = _damaged(rng, plain)
    packed = gzip.compress(plain, compresslevel=1, mtime=0)
    match rng.randrange(12):
        case 0:
            return _damaged(rng, packed)
        case 1:
            return packed + packed
        case 2:
            return rng.choice(
                (
                    plain,
                    b"",
                    b"\x1f\x8b",
                    b"PK\x03\x04" + plain,
                    b"BZh9" + plain,
                    zlib.compress(plain),
                    rng.randbytes(100),
                )
            )
        case _:
            return packed
