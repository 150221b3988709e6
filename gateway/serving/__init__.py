"""Serving: the only package that imports gunicorn."""
