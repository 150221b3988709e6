"""``pg_catalog`` → model, and counts of rows; SELECT only."""

from migrations_engine.catalog.rows_at_risk import count_rows_at_risk
from migrations_engine.catalog.snapshot import read_catalog

__all__ = ["count_rows_at_risk", "read_catalog"]
