"""The statements of SQL files and the fragments that they have in common."""

from __future__ import annotations

import re
import sys
from collections import Counter
from pathlib import Path

import pytest

from migrations_engine.queries import load_queries

ROOT = Path(__file__).parents[2]
FRAGMENTS = ROOT / "migrations_engine/fragments.sql"
FILES = sorted(
    path
    for package in ("gateway", "migrations_engine")
    for path in (ROOT / package).rglob("*.sql")
    if path != FRAGMENTS
)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_statements_have_their_fragments(path):
    statements = load_queries(".".join(path.parent.relative_to(ROOT).parts), path.name)
    assert statements
    assert [name for name, text in statements.items() if b"{{" in text or b"}}" in text] == []


def test_each_fragment_is_used_more_than_once():
    text = "\n".join(path.read_text(encoding="utf-8") for path in FILES)
    fragments = FRAGMENTS.read_text(encoding="utf-8")
    used = Counter(re.findall(r"\{\{(\w+)\}\}", text))
    assert {
        name: used[name] for name in re.findall(r"^-- name: (\w+)$", fragments, re.MULTILINE) if used[name] < 2
    } == {}


def test_an_unknown_fragment_is_an_error(tmp_path, monkeypatch):
    package = tmp_path / "package_with_queries"
    package.mkdir()
    package.joinpath("__init__.py").touch()
    package.joinpath("queries.sql").write_text("-- name: one\nSELECT {{unknown}}", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(KeyError, match="unknown"):
        load_queries("package_with_queries")
    sys.modules.pop("package_with_queries")
