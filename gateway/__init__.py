"""The HTTP service: schemas and functions of many platforms and tenants, over one PostgreSQL server."""
