"""What happens in the gateway, for those who count it. Telling costs microseconds: it is done with every call."""

from __future__ import annotations

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
_listeners: Final[dict[type, Callable[[Any], None]]] = {}


def listen(event_type: type[Event], listener: Callable[[Event], None]) -> None:
    """Have *listener* called with every event of the type, where it happens; instead of an earlier listener."""
    _listeners[event_type] = listener


def observe(event: Event) -> None:
    """Tell who listens, if anybody does."""
    listener = _listeners.get(type(event))
    if listener is not None:
        listener(event)
