"""The settings: read once from the environment or ``.env``, checked, frozen, with units in the names."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Any, Final, TypeVar

from psycopg.conninfo import conninfo_to_dict

from gateway.environment import (
    CONNECTION_NAMES,
    KEY_NAMES,
    RATE_LIMIT_NAMES,
    Network,
    choice,
    host_name,
    integer,
    networks,
    rate,
    read_conninfo,
    read_dotenv,
    read_keys,
    read_rate_limits,
    schema_names,
    seconds,
    switch,
    words,
)

T = TypeVar("T")

DOTENV_PATH: Final = Path(".env")  #: looked for in the folder the gateway is started in
#: Variables of the gateway written in Rust, which its .env files still have: ignored, and other names of settings.
IGNORED_NAMES: Final = frozenset({"RUST_LOG"})
EARLIER_NAMES: Final = {"ALLOWED_ADMIN_NETWORKS": "ALLOWED_ADMIN_IPS"}
LOG_LEVELS: Final = ("debug", "info", "warning", "error", "critical")

_DEFAULT_CONNECTIONS: Final = 200
_MAX_MILLISECONDS: Final = 2**31 - 1  #: the maximum of PostgreSQL's timeouts
_MAX_BYTES: Final = 2**40
_DATA_DIR: Final = Path("data")
_LOOPBACK: Final = (IPv4Network("127.0.0.0/8"), IPv6Network("::1/128"))


class SettingsError(Exception):
    """The settings are not valid; ``problems`` has one line for each wrong one, which names the variable."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


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

    gateway_host: str = _setting("GATEWAY_HOST", "127.0.0.1", host_name)
    gateway_port: int = _setting("GATEWAY_PORT", 9000, integer(1, 65535))
    workers: int = _setting("WORKERS", 2, integer(1, 64))
    threads: int = _setting("THREADS", 8, integer(1, 256))

    max_connections_per_pool: int = _setting("MAX_CONNECTIONS_PER_POOL", 10, integer(1, 10_000))
    max_total_connections: int = _setting("MAX_TOTAL_CONNECTIONS", _DEFAULT_CONNECTIONS, integer(5, 4096))
    max_pools: int = _setting("MAX_POOLS", _DEFAULT_CONNECTIONS, integer(1, 100_000))
    pool_idle_timeout_seconds: float = _setting("POOL_IDLE_TIMEOUT_SECS", 1800.0, seconds)
    pool_max_lifetime_seconds: float = _setting("POOL_MAX_LIFETIME_SECS", 3600.0, seconds)
    pool_wait_timeout_seconds: float = _setting("POOL_WAIT_TIMEOUT_SECS", 5.0, seconds)

    statement_timeout_ms: int = _setting("STATEMENT_TIMEOUT_MS", 30_000, integer(1, _MAX_MILLISECONDS))
    lock_timeout_ms: int = _setting("LOCK_TIMEOUT_MS", 5_000, integer(1, _MAX_MILLISECONDS))
    parallel_deploys: int = _setting("PARALLEL_DEPLOYS", 8, integer(1, 256))
    parallel_deploy_statements: int = _setting("PARALLEL_DEPLOY_STATEMENTS", 1, integer(1, 256))
    template_databases: int = _setting("TEMPLATE_DATABASES", 16, integer(0, 10_000))
    undo_copies_max_bytes: int = _setting("UNDO_COPIES_MAX_BYTES", 10 * 2**30, integer(0, _MAX_BYTES))
    undo_keep_seconds: float = _setting("UNDO_KEEP_SECS", 72 * 3600.0, seconds)
    deploy_wait_timeout_seconds: float = _setting("DEPLOY_WAIT_TIMEOUT_SECS", 120.0, seconds)

    allowed_networks: tuple[Network, ...] = _setting("ALLOWED_NETWORKS", _LOOPBACK, networks)
    allowed_admin_networks: tuple[Network, ...] = _setting("ALLOWED_ADMIN_NETWORKS", (), networks)
    trusted_proxies: tuple[Network, ...] = _setting("TRUSTED_PROXIES", (), networks)

    query_write_keys: tuple[str, ...] = _setting("QUERY_WRITE_KEYS", (), words)
    rate_limit: str | None = _setting("RATE_LIMIT", None, rate)
    api_keys_file: Path | None = _setting("API_KEYS_FILE", None, Path)  # noqa: RUF009 - a field, as all others

    admin_page: bool = _setting("ADMIN_PAGE", True, switch)
    php_client_compatibility: bool = _setting("PHP_CLIENT_COMPATIBILITY", False, switch)
    platform_roles: bool = _setting("PLATFORM_ROLES", False, switch)
    shared_templates: tuple[str, ...] = _setting("SHARED_TEMPLATES", (), words)
    callable_schemas: tuple[str, ...] = _setting("CALLABLE_SCHEMAS", ("public",), schema_names)
    new_database_template: str = _setting("NEW_DATABASE_TEMPLATE", "template0", str)

    data_dir: Path = _setting("DATA_DIR", _DATA_DIR, Path)  # noqa: RUF009 - a field, as all others
    log_level: str = _setting("LOG_LEVEL", "info", choice(*LOG_LEVELS))
    slow_call_ms: int = _setting("SLOW_CALL_MS", 1_000, integer(1, _MAX_MILLISECONDS))
    log_format: str = _setting("LOG_FORMAT", "text", choice("text", "json"))

    max_upload_bytes: int = _setting("MAX_UPLOAD_BYTES", 64 * 2**20, integer(1, _MAX_BYTES))
    max_unpacked_bytes: int = _setting("MAX_UNPACKED_BYTES", 256 * 2**20, integer(1, _MAX_BYTES))
    max_archive_entries: int = _setting("MAX_ARCHIVE_ENTRIES", 10_000, integer(1, 10_000_000))
    max_request_bytes: int = _setting("MAX_REQUEST_BYTES", 8 * 2**20, integer(1, _MAX_BYTES))
    max_response_bytes: int = _setting("MAX_RESPONSE_BYTES", 32 * 2**20, integer(1, _MAX_BYTES))

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
        source = {**read_dotenv(dotenv_path, problems), **(os.environ if environ is None else environ)}
        given = {name: value if name == "DB_PASSWORD" else value.strip() for name, value in source.items()}
        given = {name: value for name, value in given.items() if value}

        # An empty key must not count as "no key", so keys are read from the source, which has the empty values too.
        values: dict[str, Any] = {
            "conninfo": read_conninfo(given, problems),
            "api_keys": read_keys(source, problems),
            "rate_limits": read_rate_limits(given, problems),
        }
        for known in fields(cls):
            name = known.metadata.get("name")
            if name not in given:
                name = EARLIER_NAMES.get(name or "")
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


def unknown_names(dotenv_path: Path) -> tuple[str, ...]:
    """Return the names in the file that are not settings of the gateway, and so may be misspelt."""
    known = {*Settings.variable_names(), *IGNORED_NAMES, *EARLIER_NAMES.values()}
    return tuple(
        name
        for name in read_dotenv(dotenv_path, [])
        if not (name in known or KEY_NAMES.fullmatch(name) or RATE_LIMIT_NAMES.fullmatch(name))
    )
