"""Templates of schemas: whether a new database may be a copy of one, and how a copy gets its owner."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import asdict
from importlib.metadata import version
from typing import Any, Final

import psycopg

from gateway.databases import TemplateUse
from gateway.databases.templates import differs_when_copied
from gateway.naming import DatabaseOwner
from gateway.operations.deploy import DeployTerms
from migrations_engine import DeployReport, Schema, SchemaFile, SeederResult, claim_copy, split_statements

_RANDOM: Final = r"random|uuid|gen_salt|txid|xact_id"  #: in the names of functions with a new result each time
#: The names of such functions, and of those with a result that depends on time, place or role.
_VOLATILE_NAME: Final = re.compile(
    rf"\w*?(?:{_RANDOM})\w*|now|timeofday|\w+?_timestamp|current_setting|set_config|version|pg_backend_pid",
    re.IGNORECASE,
)
#: What has the current time or role as its value without being called.
_CURRENT_VALUE: Final = re.compile(
    r"\b(?:current_(?:date|time|timestamp|database|catalog|user|role)|localtime(?:stamp)?|session_user)\b"
    r"|'(?:now|today|tomorrow|yesterday)'",
    re.IGNORECASE,
)
# A file, and a word, string or comment in it, may have megabytes. So all repetitions are possessive, and a comment
# without an end is matched too: each search takes one pass.
_CALLED: Final = re.compile(r'\b(\w++)"?+\s*+\(')
#: Comments, and string literals that PostgreSQL does not read as the current time.
_IGNORED: Final = re.compile(
    r"--[^\n]*+|/\*.*?(?:\*/|(?P<unclosed>\Z))|(?P<string>'(?!(?:now|today|tomorrow|yesterday)')(?:[^']++|'')*+')",
    re.IGNORECASE | re.DOTALL,
)
#: The first words of statements that may add or change rows.
_CHANGES_ROWS: Final = frozenset(
    {"INSERT", "UPDATE", "DELETE", "DO", "WITH", "SELECT", "CALL", "MERGE", "EXECUTE", "EXPLAIN"}
)
_COUNTS: Final = (
    "extensions_installed",
    "types_deployed",
    "tables_created",
    "migrations_applied",
    "functions_deployed",
    "functions_updated",
)
_TEXTS: Final = ("satisfied_statements", "warnings")


def schema_template(
    *, owner: DatabaseOwner, checksum: str, schema: Callable[[], Schema], terms: DeployTerms, family: str | None
) -> TemplateUse[DeployReport]:
    """Return how *owner*'s database can be made by copying.

    :param schema: reads the schema; called only if there is no template to copy
    :param family: the name that all versions of the schema have in common, if later ones replace it
    """

    def note(connection: psycopg.Connection[Any], report: DeployReport) -> Mapping[str, Any] | None:
        seeded = [result.table for result in report.seeders if result.inserted]
        if has_volatile_rows(schema()) or differs_when_copied(connection, seeded, random=_RANDOM):
            return None
        known = asdict(report)
        return {name: known[name] for name in _COUNTS + _TEXTS + ("seeders",)}

    def claim(connection: psycopg.Connection[Any], kept: Mapping[str, Any]) -> DeployReport:
        claim_copy(connection, platform=owner.platform, request_id=terms.request_id)
        counts: dict[str, Any] = {name: kept[name] for name in _COUNTS}
        texts: dict[str, Any] = {name: tuple(kept[name]) for name in _TEXTS}
        return DeployReport(**counts, **texts, seeders=tuple(SeederResult(**seeder) for seeder in kept["seeders"]))

    return TemplateUse(
        content="\0".join((version("stonescriptdb-gateway"), owner.platform, checksum)),
        family=family,
        note=note,
        claim=claim,
    )


def has_volatile_rows(schema: Schema) -> bool:
    """Return whether the first rows of a new database of *schema* may depend on time, place or role of its creation.

    True in case of doubt: the database is then created from the files, which is only slower. The time in a column's
    default does not count, so rows copied from a template have the time of its creation.
    """
    functions = {file.stem.lower() for file in schema.functions}
    return any(_is_volatile(file, functions) for file in schema.seeders) or any(
        _is_volatile(file, functions) and _changes_rows(file) for file in schema.migrations
    )


def _changes_rows(file: SchemaFile) -> bool:
    return any(not _CHANGES_ROWS.isdisjoint(statement.words[:1]) for statement in split_statements(file.text))


def _is_volatile(file: SchemaFile, functions: set[str]) -> bool:
    # In bodies and escapes quotes may mean something else: then the text is searched unchanged.
    text = file.text if "$" in file.text or "\\" in file.text else _IGNORED.sub(_blank_out, file.text)
    called = set(_CALLED.findall(text))
    return _CURRENT_VALUE.search(text) is not None or any(
        name.lower() in functions or _VOLATILE_NAME.fullmatch(name) for name in called
    )


def _blank_out(found: re.Match[str]) -> str:
    """Return a blank for a comment, and an empty string for a string."""
    if found["unclosed"] is not None:
        return found[0]
    return "''" if found["string"] else " "
