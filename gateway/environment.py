"""Reading environment variables: the files that set them too, and the conversion of their texts.

The converters raise ValueError with what the variable must be; the readers add each problem to a list.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Final

import dotenv.parser
import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo, timeout_from_conninfo

Network = IPv4Network | IPv6Network

CONNECTION_NAMES: Final = ("DATABASE_URL", "DB_HOST", "DB_PORT", "DB_NAME", "DB_USER", "DB_PASSWORD")
RATE_LIMIT_NAMES: Final = re.compile(r"RATE_LIMIT_(.+)")
KEY_NAMES: Final = re.compile(r"API_KEY_(.+)|ADMIN_TOKEN")
ADMIN_KEY: Final = "ADMIN"  #: the owner of API_KEY_ADMIN; a platform of this name has the same key
_MAX_SECONDS: Final = 366 * 24 * 3600


def integer(minimum: int, maximum: int) -> Callable[[str], int]:
    """Return a converter to whole numbers from *minimum* to *maximum*."""

    def read(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,15}", text) or not minimum <= int(text) <= maximum:
            raise ValueError(f"must be a whole number from {minimum} to {maximum}")
        return int(text)

    return read


def seconds(text: str) -> float:
    """Return a number of seconds, which may have a fraction."""
    if not re.fullmatch(r"[0-9]{1,10}(\.[0-9]{1,6})?", text) or not 0 < float(text) <= _MAX_SECONDS:
        raise ValueError(f"must be a number of seconds above 0 and up to {_MAX_SECONDS}")
    return float(text)


def networks(text: str) -> tuple[Network, ...]:
    """Return the networks of a list with commas; an address is a network of one."""
    try:  # host bits are cleared
        return tuple(ip_network(part, strict=False) for part in re.split(r"[,\s]+", text.strip(", ")))
    except ValueError as exc:
        raise ValueError(f"must be networks like 10.0.0.0/8 or addresses, separated by commas: {exc}") from None


def choice(*choices: str) -> Callable[[str], str]:
    """Return a converter to one of *choices*, in lower case."""

    def read(text: str) -> str:
        if text.lower() not in choices:
            raise ValueError("must be one of " + ", ".join(choices))
        return text.lower()

    return read


def switch(text: str) -> bool:
    """Return True for ``on`` and False for ``off``."""
    if text.lower() not in ("on", "off"):
        raise ValueError("must be on or off")
    return text.lower() == "on"


def rate(text: str) -> str:
    """Return *text* if the library limits understands it."""
    from limits import parse  # noqa: PLC0415 - takes a third of a second to load, and most gateways have no limit

    try:
        parse(text)
    except ValueError:
        raise ValueError("must be a number of requests and a time, like 100/second or 6000/minute") from None
    return text


def host_name(text: str) -> str:
    """Return *text* if it can be an address or a host name."""
    if not re.fullmatch(r"[A-Za-z0-9_.:-]+", text):
        raise ValueError("must be an address or a host name, without port")
    return text


def words(text: str) -> tuple[str, ...]:
    """Return the parts of a list with commas, without white space and empty ones."""
    return tuple(word.strip() for word in text.split(",") if word.strip())


def schema_names(text: str) -> tuple[str, ...]:
    """Return the names of schemas in a list with commas; those of PostgreSQL itself are refused."""
    names = words(text)
    if not names or any(name.startswith("pg_") or name == "information_schema" for name in names):
        raise ValueError("must be the names of the application's schemas, separated by commas")
    return names


@lru_cache(maxsize=4096)
def key_name_of(platform: str) -> str:
    """Return the suffix of ``API_KEY_`` and ``RATE_LIMIT_`` in the names of a platform's variables.

    Platforms that differ only in other characters (``a-b``, ``a_b``) have the same key, and the same database name.
    """
    return re.sub(r"[^A-Z0-9]", "_", platform.upper())


def read_dotenv(path: Path | None, problems: list[str]) -> dict[str, str]:
    """Return the values of the file. ``${…}`` is not expanded, because a password may contain it."""
    if path is None or not path.exists():
        return {}
    values: dict[str, str] = {}
    try:
        with path.open(encoding="utf-8-sig") as file:
            for binding in dotenv.parser.parse_stream(file):
                if binding.error or (binding.key is not None and binding.value is None):
                    text = binding.original.string  # with the empty lines before it
                    line = binding.original.line + text[: len(text) - len(text.lstrip())].count("\n")
                    problems.append(f"{path} line {line} is not NAME=value")
                elif binding.key is not None and binding.value is not None:
                    values[binding.key] = binding.value
    except (OSError, UnicodeDecodeError) as exc:
        problems.append(f"{path} cannot be read: {exc}")
    return values


def read_conninfo(given: Mapping[str, str], problems: list[str]) -> str:
    """Return the conninfo of DATABASE_URL, with all parameters of libpq, or else of the DB_ variables.

    libpq's own message about a malformed URL is not shown: it quotes parts of the URL, which may be a password.
    """
    if url := given.get("DATABASE_URL"):
        try:
            parts = conninfo_to_dict(url)
            timeout_from_conninfo(parts)  # libpq would refuse it only on connecting
            return make_conninfo(url, dbname=parts.get("dbname") or "postgres")
        except psycopg.Error:
            problems.append(
                "DATABASE_URL is not a connection string that libpq understands "
                "(postgres://user:password@host:5432/postgres?sslmode=…; special characters percent-encoded)"
            )
            return ""
    port = given.get("DB_PORT", "5432")
    try:
        integer(1, 65535)(port)
    except ValueError as exc:
        problems.append(f"DB_PORT {exc}")
    return make_conninfo(
        host=given.get("DB_HOST", "localhost"),
        port=port,
        dbname=given.get("DB_NAME", "postgres"),
        user=given.get("DB_USER"),
        password=given.get("DB_PASSWORD"),
    )


def read_rate_limits(given: Mapping[str, str], problems: list[str]) -> dict[str, str]:
    """Return the rate limits by ``key_name_of`` the platform."""
    limits: dict[str, str] = {}
    for variable in sorted(given):
        if (found := RATE_LIMIT_NAMES.fullmatch(variable)) is not None:
            try:
                limits[key_name_of(found[1])] = rate(given[variable])
            except ValueError as exc:
                problems.append(f"{variable} {exc}")
    return limits


def read_keys(source: Mapping[str, str], problems: list[str]) -> dict[str, tuple[str, ...]]:
    """Return the keys by owner. The messages about wrong keys do not quote them."""
    given = dict(source)
    if path := source.get("API_KEYS_FILE", "").strip():
        if not Path(path).is_file():
            problems.append(f"API_KEYS_FILE {path} is not a file")
        of_file = read_dotenv(Path(path), problems)
        problems += [
            f"API_KEYS_FILE sets {name}, which is not the name of a key"
            for name in of_file
            if not KEY_NAMES.fullmatch(name)
        ]
        given = {**of_file, **given}
    keys: dict[str, tuple[str, ...]] = {}
    owners: dict[str, str] = {}
    for variable in sorted(given):
        if (found := KEY_NAMES.fullmatch(variable)) is None:
            continue
        name = key_name_of(found[1] or ADMIN_KEY)
        for key in (part.strip() for part in given[variable].split(",")):
            if not re.fullmatch(r"[!-~]+", key):
                problems.append(
                    f"{variable} must be keys of printable ASCII characters, separated by commas, none of them empty"
                )
            elif (owner := owners.setdefault(key, name)) != name:
                problems.append(f"{variable} has the same key as API_KEY_{owner}; every platform needs its own")
            elif key not in keys.get(name, ()):
                keys[name] = (*keys.get(name, ()), key)
    return keys
