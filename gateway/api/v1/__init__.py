"""Version 1: the schema is sent with each request."""
