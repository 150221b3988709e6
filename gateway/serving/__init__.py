"""Serving: the only room that knows gunicorn."""
