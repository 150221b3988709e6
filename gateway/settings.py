"""Settings: read once from the environment or ``.env``, frozen, with units in the names."""
