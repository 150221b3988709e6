"""Access: networks, keys and rate limits, for the API."""
