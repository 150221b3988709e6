"""A pair of schemas with the expected changes in each direction.

An expectation is ``danger change subject``, followed by the number of rows at risk if rows were counted.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Case:
    name: str
    one: str
    other: str
    there: tuple[str, ...] = ()  #: the expected changes from one to the other
    back: tuple[str, ...] = ()
    rows: str = ""  #: put into one before going there
    rows_back: str = ""  #: put into the other before going back
    since: int = 0  #: the first version of PostgreSQL that has it
    alone: bool = False  #: it cannot share a database with other cases
    named: bool = False  #: it is of a kind that is not compared, but warned of
    stays: bool = False  #: the way back leaves a difference to a new database that only pg_dump shows
    alike: bool = False  #: PostgreSQL prints the sides differently, and they mean the same


def case(
    name: str, base: str, one: str, other: str, *, there: tuple[str, ...], back: tuple[str, ...], **more: object
) -> Case:
    """Return a case of two schemas that have *base* in common."""
    return Case(name=name, one=base + one, other=base + other, there=there, back=back, **more)


def table(columns: str, after: str = "") -> str:
    """Return a table t."""
    return f"CREATE TABLE t ({columns}); {after}"
