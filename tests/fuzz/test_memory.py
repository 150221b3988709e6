"""Caches of the data that clients send are bounded by their bytes."""

from __future__ import annotations

from tests.fuzz.memory import KEYS, growth


def test_large_keys_of_every_kind_leave_nothing_behind(postgres_url, public_path):
    """A kind that is kept shows: of each, 16 MB or 15 MB are sent. ``make fuzz-memory`` sends 500 keys of each kind."""
    seen = dict(growth(postgres_url, public_path, keys=16, small_keys=100))
    assert set(seen) == set(KEYS)
    assert list(seen.values())[-1] < 14, seen
