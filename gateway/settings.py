"""The settings: read once from the environment or ``.env``, checked, frozen, with units in the names."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any, Final, TypeVar

import dotenv.parser
import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo, timeout_from_conninfo

Network = IPv4Network | IPv6Network
T = TypeVar("T")

DOTENV_PATH: Final = Path(".env")  #: looked for in the folder the gateway is started in
CONNECTION_NAMES: Final = ("DATABASE_URL", "DB_HOST", "DB_PORT", "DB_NAME", "DB_USER", "DB_PASSWORD")
RATE_LIMIT_NAMES: Final = re.compile(r"RATE_LIMIT_(.+)")
KEY_NAMES: Final = re.compile(r"API_KEY_(.+)|ADMIN_TOKEN")
ADMIN_KEY: Final = "ADMIN"  #: the owner of API_KEY_ADMIN; a platform of this name has the same key
IGNORED_NAMES: Final = frozenset({"RUST_LOG"})  #: of the gateway written in Rust, still present in its .env files
LOG_LEVELS: Final = ("debug", "info", "warning", "error", "critical")

_DEFAULT_CONNECTIONS: Final = 200
_MAX_MILLISECONDS: Final = 2**31 - 1  #: the maximum of PostgreSQL's timeouts
_MAX_SECONDS: Final = 366 * 24 * 3600
_MAX_BYTES: Final = 2**40
_DATA_DIR: Final = Path("data")
_LOOPBACK: Final = (IPv4Network("127.0.0.0/8"), IPv6Network("::1/128"))


class SettingsError(Exception):
    """The settings are not valid; ``problems`` has one line for each wrong one, which names the variable."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


def _integer(minimum: int, maximum: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,15}", text) or not minimum <= int(text) <= maximum:
            raise ValueError(f"must be a whole number from {minimum} to {maximum}")
        return int(text)

    return read


def _seconds(text: str) -> float:
    if not re.fullmatch(r"[0-9]{1,10}(\.[0-9]{1,6})?", text) or not 0 < float(text) <= _MAX_SECONDS:
        raise ValueError(f"must be a number of seconds above 0 and up to {_MAX_SECONDS}")
    return float(text)


def _networks(text: str) -> tuple[Network, ...]:
    try:  # host bits are cleared
        return tuple(ip_network(part, strict=False) for part in re.split(r"[,\s]+", text.strip(", ")))
    except ValueError as exc:
        raise ValueError(f"must be networks like 10.0.0.0/8 or addresses, separated by commas: {exc}") from None


def _one_of(*choices: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text.lower() not in choices:
            raise ValueError("must be one of " + ", ".join(choices))
        return text.lower()

    return read


def _switch(text: str) -> bool:
    if text.lower() not in ("on", "off"):
        raise ValueError("must be on or off")
    return text.lower() == "on"


def _rate(text: str) -> str:
    from limits import parse  # noqa: PLC0415 - takes a third of a second to load, and most gateways have no limit

    try:
        parse(text)
    except ValueError:
        raise ValueError("must be a number of requests and a time, like 100/second or 6000/minute") from None
    return text


def _host(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_.:-]+", text):
        raise ValueError("must be an address or a host name, without port")
    return text


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _schemas(text: str) -> tuple[str, ...]:
    names = _words(text)
    if not names or any(name.startswith("pg_") or name == "information_schema" for name in names):
        raise ValueError("must be the names of the application's schemas, separated by commas")
    return names


def _setting(name: str, default: T, read: Callable[[str], T]) -> T:
    """Return a field of Settings for the environment variable *name*; *read* converts it or raises ValueError."""
    made: T = field(default=default, metadata={"name": name, "read": read})
    return made


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of a gateway, with their defaults; ``.env.example`` explains each variable."""

    conninfo: str = field(repr=False)  #: of the maintenance database, for libpq; contains the password
    #: By owner: ``key_name_of`` a platform, or ADMIN_KEY; includes those of API_KEYS_FILE.
    api_keys: Mapping[str, tuple[str, ...]] = field(default_factory=dict, repr=False)
    rate_limits: Mapping[str, str] = field(default_factory=dict)  #: by ``key_name_of`` the platform

    gateway_host: str = _setting("GATEWAY_HOST", "127.0.0.1", _host)
    gateway_port: int = _setting("GATEWAY_PORT", 9000, _integer(1, 65535))
    workers: int = _setting("WORKERS", 2, _integer(1, 64))
    threads: int = _setting("THREADS", 8, _integer(1, 256))

    max_connections_per_pool: int = _setting("MAX_CONNECTIONS_PER_POOL", 10, _integer(1, 10_000))
    max_total_connections: int = _setting("MAX_TOTAL_CONNECTIONS", _DEFAULT_CONNECTIONS, _integer(5, 4096))
    max_pools: int = _setting("MAX_POOLS", _DEFAULT_CONNECTIONS, _integer(1, 100_000))
    pool_idle_timeout_seconds: float = _setting("POOL_IDLE_TIMEOUT_SECS", 1800.0, _seconds)
    pool_max_lifetime_seconds: float = _setting("POOL_MAX_LIFETIME_SECS", 3600.0, _seconds)
    pool_wait_timeout_seconds: float = _setting("POOL_WAIT_TIMEOUT_SECS", 5.0, _seconds)

    statement_timeout_ms: int = _setting("STATEMENT_TIMEOUT_MS", 30_000, _integer(1, _MAX_MILLISECONDS))
    lock_timeout_ms: int = _setting("LOCK_TIMEOUT_MS", 5_000, _integer(1, _MAX_MILLISECONDS))
    parallel_deploys: int = _setting("PARALLEL_DEPLOYS", 8, _integer(1, 256))
    template_databases: int = _setting("TEMPLATE_DATABASES", 16, _integer(0, 10_000))
    undo_copies_max_bytes: int = _setting("UNDO_COPIES_MAX_BYTES", 10 * 2**30, _integer(0, _MAX_BYTES))
    undo_keep_seconds: float = _setting("UNDO_KEEP_SECS", 72 * 3600.0, _seconds)
    deploy_wait_timeout_seconds: float = _setting("DEPLOY_WAIT_TIMEOUT_SECS", 120.0, _seconds)

    allowed_networks: tuple[Network, ...] = _setting("ALLOWED_NETWORKS", _LOOPBACK, _networks)
    allowed_admin_networks: tuple[Network, ...] = _setting("ALLOWED_ADMIN_NETWORKS", (), _networks)
    trusted_proxies: tuple[Network, ...] = _setting("TRUSTED_PROXIES", (), _networks)

    query_write_keys: tuple[str, ...] = _setting("QUERY_WRITE_KEYS", (), _words)
    rate_limit: str | None = _setting("RATE_LIMIT", None, _rate)
    api_keys_file: Path | None = _setting("API_KEYS_FILE", None, Path)  # noqa: RUF009 - a field, as all others

    admin_page: bool = _setting("ADMIN_PAGE", True, _switch)
    php_client_compatibility: bool = _setting("PHP_CLIENT_COMPATIBILITY", False, _switch)
    platform_roles: bool = _setting("PLATFORM_ROLES", False, _switch)
    shared_templates: tuple[str, ...] = _setting("SHARED_TEMPLATES", (), _words)
    callable_schemas: tuple[str, ...] = _setting("CALLABLE_SCHEMAS", ("public",), _schemas)
    new_database_template: str = _setting("NEW_DATABASE_TEMPLATE", "template0", str)

    data_dir: Path = _setting("DATA_DIR", _DATA_DIR, Path)  # noqa: RUF009 - a field, as all others
    log_level: str = _setting("LOG_LEVEL", "info", _one_of(*LOG_LEVELS))
    slow_call_ms: int = _setting("SLOW_CALL_MS", 1_000, _integer(1, _MAX_MILLISECONDS))
    log_format: str = _setting("LOG_FORMAT", "text", _one_of("text", "json"))

    max_upload_bytes: int = _setting("MAX_UPLOAD_BYTES", 64 * 2**20, _integer(1, _MAX_BYTES))
    max_unpacked_bytes: int = _setting("MAX_UNPACKED_BYTES", 256 * 2**20, _integer(1, _MAX_BYTES))
    max_archive_entries: int = _setting("MAX_ARCHIVE_ENTRIES", 10_000, _integer(1, 10_000_000))
    max_request_bytes: int = _setting("MAX_REQUEST_BYTES", 8 * 2**20, _integer(1, _MAX_BYTES))
    max_response_bytes: int = _setting("MAX_RESPONSE_BYTES", 32 * 2**20, _integer(1, _MAX_BYTES))

    @classmethod
    def from_environment(
        cls, environ: Mapping[str, str] | None = None, dotenv_path: Path | None = DOTENV_PATH
    ) -> Settings:
        """Read every setting. The environment wins over the file; an empty value counts as not set.

        :param environ: the environment of the process if None
        :param dotenv_path: a file of ``NAME=value`` lines, which need not exist; None for no file
        :raises SettingsError: with all problems, not only the first
        """
        problems: list[str] = []
        source = {**_read_dotenv(dotenv_path, problems), **(os.environ if environ is None else environ)}
        given = {name: value if name == "DB_PASSWORD" else value.strip() for name, value in source.items()}
        given = {name: value for name, value in given.items() if value}

        # An empty key must not count as "no key", so keys are read from the source, which has the empty values too.
        values: dict[str, Any] = {
            "conninfo": _read_conninfo(given, problems),
            "api_keys": _read_keys(source, problems),
            "rate_limits": _read_rate_limits(given, problems),
        }
        for known in fields(cls):
            name = known.metadata.get("name")
            if name in given:
                try:
                    values[known.name] = known.metadata["read"](given[name])
                except ValueError as exc:
                    problems.append(f"{name} {exc}")
        if problems:
            raise SettingsError(tuple(problems))
        values.setdefault("max_pools", values.get("max_total_connections", _DEFAULT_CONNECTIONS))
        return cls(**values)

    @classmethod
    def variable_names(cls) -> tuple[str, ...]:
        """Return the names of all environment variables that are settings, those of the connection first."""
        return CONNECTION_NAMES + tuple(known.metadata["name"] for known in fields(cls) if known.metadata)

    @property
    def request_threads(self) -> int:
        """The maximum of requests in threads of a worker: more than THREADS, because most of them wait."""
        return 32 * self.threads

    @property
    def requests_per_database(self) -> int:
        """The maximum of running and waiting calls of one database in a worker. The rest is for other databases."""
        return 24 * self.threads

    @property
    def maintenance_database(self) -> str:
        """The database to which the gateway connects for statements about the whole server (CREATE DATABASE, lists)."""
        return str(conninfo_to_dict(self.conninfo)["dbname"])

    @property
    def role_secret_file(self) -> Path:
        """The file of the secret from which passwords of roles are derived. Gateways of one DATA_DIR share it."""
        return self.data_dir / ".platform-roles"

    @property
    def server_description(self) -> str:
        """The address of PostgreSQL, for logs: user, host, port and database, and nothing else of the conninfo."""
        parts = conninfo_to_dict(self.conninfo)
        shown = (f"{name}={parts[name]}" for name in ("host", "hostaddr", "port", "dbname", "user") if parts.get(name))
        return " ".join(shown)


@lru_cache(maxsize=4096)
def key_name_of(platform: str) -> str:
    """Return the suffix of ``API_KEY_`` and ``RATE_LIMIT_`` in the names of a platform's variables.

    Platforms that differ only in other characters (``a-b``, ``a_b``) have the same key, and the same database name.
    """
    return re.sub(r"[^A-Z0-9]", "_", platform.upper())


def unknown_names(dotenv_path: Path) -> tuple[str, ...]:
    """Return the names in the file that are not settings of the gateway, and so may be misspelt."""
    known = {*Settings.variable_names(), *IGNORED_NAMES}
    return tuple(
        name
        for name in _read_dotenv(dotenv_path, [])
        if not (name in known or KEY_NAMES.fullmatch(name) or RATE_LIMIT_NAMES.fullmatch(name))
    )


def _read_dotenv(path: Path | None, problems: list[str]) -> dict[str, str]:
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


def _read_conninfo(given: Mapping[str, str], problems: list[str]) -> str:
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
        _integer(1, 65535)(port)
    except ValueError as exc:
        problems.append(f"DB_PORT {exc}")
    return make_conninfo(
        host=given.get("DB_HOST", "localhost"),
        port=port,
        dbname=given.get("DB_NAME", "postgres"),
        user=given.get("DB_USER"),
        password=given.get("DB_PASSWORD"),
    )


def _read_rate_limits(given: Mapping[str, str], problems: list[str]) -> dict[str, str]:
    limits: dict[str, str] = {}
    for variable in sorted(given):
        if (found := RATE_LIMIT_NAMES.fullmatch(variable)) is not None:
            try:
                limits[key_name_of(found[1])] = _rate(given[variable])
            except ValueError as exc:
                problems.append(f"{variable} {exc}")
    return limits


def _read_keys(source: Mapping[str, str], problems: list[str]) -> dict[str, tuple[str, ...]]:
    """Return the keys by owner. The messages about wrong keys do not quote them."""
    given = dict(source)
    if path := source.get("API_KEYS_FILE", "").strip():
        if not Path(path).is_file():
            problems.append(f"API_KEYS_FILE {path} is not a file")
        of_file = _read_dotenv(Path(path), problems)
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
