"""Calls of functions in a database: signatures, statements, execution, and the cleaning of the session."""

from gateway.functions.call_session import clean, needs_cleaning, session_options
from gateway.functions.json_values import JsonNumber, dump_json, parse_json
from gateway.functions.signature_cache import SignatureCache

__all__ = [
    "JsonNumber",
    "SignatureCache",
    "clean",
    "dump_json",
    "needs_cleaning",
    "parse_json",
    "session_options",
]
