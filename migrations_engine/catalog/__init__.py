"""``pg_catalog`` → model, and counts of rows; SELECT only."""

from migrations_engine.catalog.reader import count_rows_at_risk, read_catalog, read_mark, read_names, read_shape

__all__ = ["count_rows_at_risk", "read_catalog", "read_mark", "read_names", "read_shape"]
