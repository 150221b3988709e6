"""The statements of ``queries.sql`` and the fragments that they have in common."""

from __future__ import annotations

import re
import sys
from collections import Counter
from pathlib import Path

import pytest

from migrations_engine.queries import load_queries

ROOT = Path(__file__).parents[2]
PACKAGES = sorted(
    ".".join(path.parent.relative_to(ROOT).parts)
    for package in ("gateway", "migrations_engine")
    for path in (ROOT / package).rglob("queries.sql")
)


@pytest.mark.parametrize("package", PACKAGES)
def test_statements_have_their_fragments(package):
    statements = load_queries(package)
    assert statements
    assert [name for name, text in statements.items() if b"{{" in text or b"}}" in text] == []


def test_each_fragment_is_used_more_than_once():
    folders = [ROOT.joinpath(*package.split(".")) for package in PACKAGES]
    text = "\n".join(folder.joinpath("queries.sql").read_text(encoding="utf-8") for folder in folders)
    fragments = ROOT.joinpath("migrations_engine/fragments.sql").read_text(encoding="utf-8")
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
