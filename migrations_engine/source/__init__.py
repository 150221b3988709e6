"""Reads archives and folders, and splits SQL into tokens and statements. It has no connection."""
