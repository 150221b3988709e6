"""docs/errors.md is what the table prints."""

from __future__ import annotations

from pathlib import Path

from gateway.api.error_document import error_document

DOCUMENT = Path(__file__).parents[3] / "docs" / "errors.md"


def test_the_document_is_up_to_date() -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == error_document()
