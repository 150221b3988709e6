"""What happens in the gateway, for those who count it. Emitting one takes microseconds, because every call does."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar


@dataclass(frozen=True, slots=True)
class CallFinished:
    """A call got a connection to its database, and has ended, well or not."""

    platform: str
    seconds: float  #: with the wait for the connection


@dataclass(frozen=True, slots=True)
class ConnectionLeased:
    """A connection was given to a call, or to a question of the gateway's own."""

    database: str
    was_idle: bool  #: it was there; otherwise the call waited for one, or connected


@dataclass(frozen=True, slots=True)
class RequestFailed:
    """A request was answered with an error."""

    code: str


Event = TypeVar("Event", CallFinished, ConnectionLeased, RequestFailed)
_log: Final = logging.getLogger(__name__)
_listeners: Final[dict[type, Callable[[Any], None]]] = {}


def listen(event_type: type[Event], listener: Callable[[Event], None]) -> None:
    """Have *listener* called with every event of the type, where it happens; instead of an earlier listener."""
    _listeners[event_type] = listener


def emit(event: Event) -> None:
    """Call the listener of the event, if there is one. One that raises is removed: it must not fail a request."""
    listener = _listeners.get(type(event))
    if listener is not None:
        try:
            listener(event)
        except Exception:  # noqa: BLE001 - whatever it is, it is logged
            _listeners.pop(type(event), None)
            _log.exception("%s is not counted any more in this process", type(event).__name__)


def remove_listeners() -> None:
    """Remove every listener of this process."""
    _listeners.clear()
