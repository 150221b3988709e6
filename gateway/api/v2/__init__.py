"""Version 2: schemas are stored, databases are made of them on demand."""
