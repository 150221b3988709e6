"""One process that deploys a schema folder to a database, for a test that kills it. Run by its path.

Arguments: the database's conninfo and the folder. It prints ``ready`` when it starts.
"""

from __future__ import annotations

import sys
from pathlib import Path

import psycopg

from migrations_engine import DeployOptions, deploy_schema, read_folder

if __name__ == "__main__":
    schema = read_folder(Path(sys.argv[2]))
    with psycopg.connect(sys.argv[1]) as connection:
        print("ready", flush=True)
        deploy_schema(connection, schema, DeployOptions(purpose="migrate"))
