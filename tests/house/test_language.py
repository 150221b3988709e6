"""Docstrings, comments, messages and documents are in the plain English that CONTRIBUTING.md describes.

That functions' docstrings start with a verb is ruff's rule D401. These words stand for a vague or personified subject,
for which there is a term: report or return (tell), every or any (whatever), time (moment), start or prefix (beginning),
a session, client or role (somebody).
"""

from __future__ import annotations

import io
import re
import tokenize
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

ROOT = Path(__file__).parents[2]
AVOIDED: Final = re.compile(
    r"\b(tells?|telling|told|whatever|whoever|whom|moments?|beginnings?|somebody|nobody|anybody|everybody)\b|"
    r"(?:^|[.;:] )Who\b",
    re.IGNORECASE | re.MULTILINE,
)
CODE = [path for folder in ("gateway", "migrations_engine", "benchmarks") for path in (ROOT / folder).rglob("*.py")]
TESTS = [path for path in (ROOT / "tests").rglob("*.py") if path != Path(__file__)]
TEXTS = [
    ROOT / ".env.example",
    *ROOT.glob("*.md"),
    *(path for folder in ("docs", "monitoring", "scripts", "systemd") for path in (ROOT / folder).rglob("*.*")),
    *(path for folder in ("examples", "gateway", "migrations_engine") for path in (ROOT / folder).rglob("*.*sql")),
]
#: Python 3.12 and newer have tokens of their own for the texts of f-strings.
STRINGS: Final = {tokenize.STRING, getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING)}


def texts_of(path: Path, *, strings: bool) -> Iterator[tuple[int, str]]:
    """Yield comments and docstrings with their line numbers; all other strings too if *strings*."""
    previous = tokenize.NEWLINE
    for token in tokenize.generate_tokens(io.StringIO(path.read_text(encoding="utf-8")).readline):
        is_docstring = token.type == tokenize.STRING and previous in (tokenize.NEWLINE, tokenize.INDENT)
        if token.type == tokenize.COMMENT or is_docstring or (strings and token.type in STRINGS):
            yield token.start[0], token.string
        if token.type not in (tokenize.COMMENT, tokenize.NL):
            previous = token.type


def avoided(path: Path, texts: Iterable[tuple[int, str]]) -> list[str]:
    """Return the avoided words in *texts*, each with its place."""
    place = path.relative_to(ROOT)
    return [f"{place}:{line}: {found[0]}" for line, text in texts for found in AVOIDED.finditer(text)]


def test_code_avoids_vague_words():
    assert [word for path in CODE for word in avoided(path, texts_of(path, strings=True))] == []


def test_tests_avoid_vague_words():
    assert [word for path in TESTS for word in avoided(path, texts_of(path, strings=False))] == []


def test_documents_avoid_vague_words():
    lines = ((path, enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)) for path in TEXTS)
    assert [word for path, numbered in lines for word in avoided(path, numbered)] == []
