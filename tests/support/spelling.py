"""Other spellings of the same schema, which PostgreSQL reads alike: the engine must find the same objects in them."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from functools import partial
from typing import Final, TypeAlias

import psycopg

from migrations_engine.source.lexer import NAME_BYTES, Kind, Token, tokens

Spelling: TypeAlias = Callable[[str], str]

_SERVER_NAMES: Final = """
    SELECT word FROM pg_get_keywords() UNION SELECT proname FROM pg_proc UNION SELECT nspname FROM pg_namespace
    UNION SELECT typname FROM pg_type UNION SELECT relname FROM pg_class UNION SELECT amname FROM pg_am
    UNION SELECT opcname FROM pg_opclass UNION SELECT collname FROM pg_collation UNION SELECT rolname FROM pg_roles
    UNION SELECT name FROM pg_settings UNION SELECT name FROM pg_available_extensions
    UNION SELECT attname FROM pg_attribute UNION SELECT cfgname FROM pg_ts_config UNION SELECT dictname FROM pg_ts_dict
    UNION SELECT tmplname FROM pg_ts_template UNION SELECT prsname FROM pg_ts_parser
"""
#: Words of SQL, PL/pgSQL, storage parameters and options that are no names, and that no catalog has.
_WORDS: Final = frozenset(
    re.findall(
        r"\w+",
        """
    alias assert autosummarize autovacuum_analyze_scale_factor autovacuum_enabled autovacuum_vacuum_scale_factor
    bigint bigserial boolean buffering c canonical century check_option close column_name combinefunc commutator
    constant constraint_name continue copy ctid day deduplicate_items dependencies detail deterministic diagnostics
    dictfile dow doy elseif elsif email epoch errcode exception excluded exit extended external fastupdate fillfactor
    finalfunc foreach found gateway get hint hour icu info initcond int integer internal isodow isoyear leftarg libc
    list locale log loop main mcv message millennium minute month n_distinct n_distinct_inherited ndistinct negator
    new notice oid old open pages_per_range parser perform permissive pglz plain plpgsql procedure provider public
    quarter query raise reader record restrictive return reverse rightarg row_count schema_name second
    security_barrier security_invoker serial sfunc slice smallint smallserial sql sqlerrm sqlstate stopwords strict
    stype subtype subtype_diff table_name tableoid template tg_argv tg_level tg_name tg_op tg_relid tg_table_name
    tg_table_schema tg_when toast_tuple_target usage use_column variable_conflict warning week while writer xmin year
    """,
    )
)
#: Endings of names that PostgreSQL chooses, and of the names of the gateway.
_ENDINGS: Final = frozenset({"seq", "key", "pkey", "fkey", "idx", "check", "not", "null", "excl", "expr", ""})
_NAME_IN_STRING: Final = re.compile(r"'(?:\w+\.)?\w+'")
_CODE_IN_STRING: Final = re.compile(r"'\s*(?:BEGIN|DECLARE|SELECT|INSERT|UPDATE|DELETE)\b", re.IGNORECASE)
_TAG: Final = re.compile(r"\$\w*\$")


def words_of_server(conninfo: str) -> frozenset[str]:
    """Return the words that cannot be spelled otherwise: keywords and names that the server has."""
    conditions = {re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower() for name in dir(psycopg.errors)}  # unique_violation
    with psycopg.connect(conninfo) as connection:
        return _WORDS | conditions | {name for (name,) in connection.execute(_SERVER_NAMES)}


def spellings(words: Collection[str]) -> dict[str, Spelling]:
    """Return functions that spell a text of SQL otherwise, by name.

    :param words: what :func:`words_of_server` returns
    """
    return {
        "capitals": _in_capitals,
        "comments": _with_comments,
        "mixed": partial(_with_names, lambda part: part.capitalize(), words),
        "long": partial(_with_long_names, words),
        "punctuated": partial(_with_names, lambda part: f"{part[0]}. \"'%s({part[1:]}", words),
    }


def spelled(files: dict[str, str], spelling: Spelling) -> dict[str, str]:
    """Return the files of a schema in another spelling. The files of extensions stay: they are named after those."""
    return {label: text if label.startswith("extensions/") else spelling(text) for label, text in files.items()}


def _in_capitals(text: str) -> str:
    return each_token(text, lambda token, _around: token.text.upper() if token.kind is Kind.WORD else token.text)


def _with_comments(text: str) -> str:
    """Put comments between all tokens. Comments before the first, which may be for the gateway, stay there."""
    first = next((token.start for token in tokens(text)), len(text))
    return text[:first] + "".join(f"{token.text}/* ; ' */--\"\n" for token in tokens(text))


def _with_names(other: Callable[[str], str], words: Collection[str], text: str) -> str:
    """Give each part of each name between underscores an *other* spelling, also in code within strings.

    So names that PostgreSQL makes of other names are made of their spellings.
    """

    def written(name: str) -> str:
        parts = (part if part in _ENDINGS or part.isdigit() else other(part) for part in name.lower().split("_"))
        return '"' + "_".join(parts).replace('"', '""') + '"'

    return _renamed(written, words, text)


def _with_long_names(words: Collection[str], text: str) -> str:
    """Make all names as long as PostgreSQL allows, of letters of two bytes. It cuts those that it makes of them."""
    return _renamed(lambda name: name + "é" * ((NAME_BYTES - len(name.encode())) // 2), words, text)


def _renamed(written: Callable[[str], str], words: Collection[str], text: str) -> str:
    again = partial(_renamed, written, words)

    def in_place(token: Token, around: tuple[str, str]) -> str:
        kind, text = token.kind, token.text
        if kind is Kind.WORD and text.lower() not in words:
            return written(text)
        if kind is Kind.DOLLAR and (tag := _TAG.match(text)):
            return f"{tag[0]}{again(text[tag.end() : -tag.end()])}{tag[0]}"
        is_name = around[0].endswith("val(") or around[1].startswith("::reg")
        if kind is Kind.STRING and ((is_name and _NAME_IN_STRING.fullmatch(text)) or _CODE_IN_STRING.match(text)):
            return "'" + again(text[1:-1].replace("''", "'")).replace("'", "''") + "'"
        return text

    return each_token(text, in_place)


def each_token(text: str, change: Callable[[Token, tuple[str, str]], str]) -> str:
    """Return *text* with each token as *change* returns it for the token and the characters before and after it."""
    pieces, end = [], 0
    for token in tokens(text):
        around = text[max(0, token.start - 4) : token.start].lower(), text[token.end : token.end + 5].lower()
        pieces += [text[end : token.start], change(token, around)]
        end = token.end
    return "".join([*pieces, text[end:]])
