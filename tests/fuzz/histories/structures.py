"""The structure of two databases, and what differs in it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from tests.support.structure import structure_without_names_of_not_null

_UNORDERED = re.compile(r"(WITH \()([^()]*)(\))|(CREATE STATISTICS .+ ON )(.+)( FROM )")
_NAMES_OF_NOT_NULL = r'\S+_not_null\d*|"(?:[^"]|"")*_not_null\d*"'
_NAMES = tuple(
    re.compile(pattern)
    for pattern in (
        r"ADD CONSTRAINT (\S+)",
        r"ALTER COLUMN (\S+)",
        r"ATTACH PARTITION (\S+)",
        r"^COMMENT ON COLUMN (\S+)",
        r"^COMMENT ON (?:CONSTRAINT|TRIGGER|POLICY|RULE) (\S+)",
        r"^CREATE (?:UNIQUE )?INDEX (\S+)",
        r"^CREATE (?:CONSTRAINT )?(?:TRIGGER|POLICY|RULE) (\S+)",
        r"(?:DISABLE|ENABLE|ALWAYS|REPLICA) (?:TRIGGER|RULE) (\S+)",
        r"CLUSTER ON (\S+)",
        r"^(?:GRANT|REVOKE) .*? ON (?:[A-Z]+ )*(\S+)",
        r"^(?:CREATE|ALTER|COMMENT ON) (?:[A-Z]+ )+(\S+)",
    )
)


def structure(conninfo: str) -> list[str]:
    """Return a dump without names of NOT NULL constraints, and the order of options and columns of statistics."""
    return [_UNORDERED.sub(_sorted, text) for text in structure_without_names_of_not_null(conninfo, _NAMES_OF_NOT_NULL)]


def _sorted(match: re.Match[str]) -> str:
    head, items, tail = (group for group in match.groups() if group is not None)
    return head + ", ".join(sorted(items.split(", "))) + tail


def differences(one: list[str], other: list[str]) -> Iterator[tuple[str, str]]:
    """Yield the differing statements of two dumps, each with the name of its subject; of tables the differing lines."""
    here, there = Counter(one), Counter(other)
    changed = [*(here - there).elements()], [*(there - here).elements()]
    tables = [
        {text.split("\n")[0]: text.split("\n") for text in side if re.match(r"CREATE (UNLOGGED )?TABLE", text)}
        for side in changed
    ]
    for sign, side, own, others in (("-", changed[0], *tables), ("+", changed[1], *tables[::-1])):
        for text in side:
            head, *lines = text.split("\n")
            if head in own and head in others:
                for line in sorted(set(lines) - set(others[head])):
                    plain = re.sub(r"^\s*(CONSTRAINT )?", "", line).split(" ")[0].strip('"')
                    name = _subject(line) if line.startswith("ALTER") else plain
                    yield name, f"{sign} {head} {line.strip()}"
            else:
                yield _subject(text), f"{sign} {text}"


def _subject(text: str) -> str:
    if re.match(r"CREATE (UNLOGGED )?TABLE", text):
        text = text.partition("\n")[0]
    for pattern in _NAMES:
        if (found := pattern.search(text)) is not None:
            return re.split(r"[(;]", found[1])[0].replace('"', "").split(".")[-1]
    return text


def is_of(table: str, text: str) -> bool:
    """Return whether a statement is about a table, or about a sequence or index of it."""
    return re.search(rf"(?<!\w){re.escape(table)}(_\w+_(seq|idx|key))?(?!\w)", text) is not None


def named(subject: str, words: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(subject)}(?!\w)", words) is not None
