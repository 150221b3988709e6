"""Reading the ``queries.sql`` beside a module: static SQL by name, as bytes, so that the driver takes it as it is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType

_NAMED = re.compile(r"^-- name: (\w+)\s*$", re.MULTILINE)


@cache
def load_queries(package: str) -> Mapping[str, bytes]:
    """Return the statements of *package*'s ``queries.sql``; each starts with a line ``-- name: its_name``."""
    _, *parts = _NAMED.split(files(package).joinpath("queries.sql").read_text(encoding="utf-8"))
    return MappingProxyType({name: text.strip().encode() for name, text in zip(parts[::2], parts[1::2], strict=True)})
