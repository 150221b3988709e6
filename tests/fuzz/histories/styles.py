"""The ways in which developers write the same migration or declaration."""

from __future__ import annotations

import re
from collections.abc import Callable
from random import Random

from migrations_engine.source.lexer import Token
from tests.support.spelling import each_token

_ALTER = re.compile(r"ALTER TABLE (?P<table>\S+) (?P<action>(?:ADD|DROP|ALTER) .*)\Z", re.DOTALL)
_NAMED = re.compile(r"\b(ALTER TABLE(?: ONLY)?|CREATE TABLE|INSERT INTO|DROP TABLE|DELETE FROM) (?=[\w\"]+(?:\s|\Z))")


def _lower(text: str) -> str:
    """Write the words that are all capitals, which are keywords, in small letters."""

    def written(token: Token, _around: tuple[str, str]) -> str:
        return token.text.lower() if re.fullmatch(r"[A-Z_]+", token.text) else token.text

    return each_token(text, written)


_MADE = re.compile(r"\b(ADD COLUMN|CREATE TABLE|CREATE (?:UNIQUE )?INDEX|CREATE SEQUENCE) (?!IF|ON|CONC)")
_GONE = re.compile(
    r"\b(DROP (?:COLUMN|CONSTRAINT|TABLE|INDEX|VIEW|MATERIALIZED VIEW|POLICY|TRIGGER|RULE|SEQUENCE|TYPE|DOMAIN)) (?!IF)"
)


def _guarded(text: str) -> str:
    """Let statements pass over what exists, or what is gone."""
    return _GONE.sub(r"\1 IF EXISTS ", _MADE.sub(r"\1 IF NOT EXISTS ", text))


def _qualified(text: str) -> str:
    """Write the schema of tables."""
    return _NAMED.sub(r"\1 public.", text)


def _together(text: str) -> str:
    """Make one ALTER TABLE of those that follow each other."""
    done: list[str] = []
    for statement in text.split(";;"):
        last, this = _ALTER.match(done[-1]) if done else None, _ALTER.match(statement)
        if last and this and last["table"] == this["table"]:
            done[-1] += f",\n    {this['action']}"
        else:
            done.append(statement)
    return ";;".join(done)


_STYLES: tuple[Callable[[str], str], ...] = (_lower, _guarded, _qualified, _together)
#: Styles of a CREATE TABLE.
TABLE_STYLES: tuple[Callable[[str], str], ...] = (
    _lower,
    lambda text: text.replace("CREATE TABLE ", "CREATE TABLE IF NOT EXISTS ", 1),
    _qualified,
)


def written(random: Random, text: str) -> str:
    """Return the statements of a migration as another developer writes them."""
    for style in _STYLES:
        if random.random() < 0.15:
            text = style(text)
    return text
