"""Events of the gateway, for metrics. Every call emits some, so emitting one takes microseconds."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final, NamedTuple, TypeVar


class CallFinished(NamedTuple):
    """A call that had a connection to its database has ended, with or without success."""

    platform: str
    seconds: float  #: including the wait for the connection


class ConnectionLeased(NamedTuple):
    """A connection was leased to a call, or to a query of the gateway's own."""

    database: str
    was_idle: bool  #: False if the call waited for a connection, or made a new one


class RequestFailed(NamedTuple):
    """A request was answered with an error."""

    code: str


class CallWasSlow(NamedTuple):
    """A call took at least SLOW_CALL_MS."""

    platform: str
    function: str


class CallFailed(NamedTuple):
    """A function that was called raised an error, or ran into the statement timeout."""

    platform: str
    function: str
    code: str


class LeaseWaited(NamedTuple):
    """A lease found no idle connection, and waited for one or tried to open one."""

    seconds: float
    has_leased: bool


class ConnectionEvicted(NamedTuple):
    """An idle connection was evicted for another database, or closed because its database changed."""

    database: str


class DeployEnded(NamedTuple):
    """A deploy to one database has ended."""

    purpose: str  #: ``register`` or ``migrate``
    result: str  #: ``done``, ``dry_run``, or the code of its error
    seconds: float


class DatabaseMigrated(NamedTuple):
    """A database of a migration has ended, or was skipped."""

    status: str  #: as the answer has it


class TemplateLookedUp(NamedTuple):
    """A template was looked up for a new database."""

    found: bool


class RequestRefusedByRate(NamedTuple):
    """A request was refused by a rate limit."""

    platform: str  #: ``key_name_of`` a platform with a limit of its own, or ``other``


Event = TypeVar(
    "Event",
    CallFinished,
    ConnectionLeased,
    RequestFailed,
    CallWasSlow,
    CallFailed,
    LeaseWaited,
    ConnectionEvicted,
    DeployEnded,
    DatabaseMigrated,
    TemplateLookedUp,
    RequestRefusedByRate,
)
_log: Final = logging.getLogger(__name__)


class Events:
    """The listeners of one process. Every part that emits events has the same object."""

    def __init__(self) -> None:
        self._listeners: dict[type, Callable[[Any], None]] = {}

    def listen(self, event_type: type[Event], listener: Callable[[Event], None]) -> None:
        """Call *listener* with every event of the type, in the thread that emits it. Replaces an earlier listener."""
        self._listeners[event_type] = listener

    def emit(self, event: Event) -> None:
        """Call the listener of the event, if any. A listener that raises is removed: it must not fail a request."""
        listener = self._listeners.get(type(event))
        if listener is not None:
            try:
                listener(event)
            except Exception:  # noqa: BLE001 - logged
                self._listeners.pop(type(event), None)
                _log.exception("%s is no longer counted in this process", type(event).__name__)

    def remove_listeners(self) -> None:
        """Remove every listener."""
        self._listeners.clear()
