"""Version 1: the schema travels with the request."""
