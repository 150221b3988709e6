"""Version 2: schemas are stored, and databases are created from them on demand."""
