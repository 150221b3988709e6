"""Work that has to wait now and then, written once as a generator for the loop and for threads alike.

The generator yields what it waits for, and is resumed with what has come of that. A thread waits by blocking
(:func:`run`); a loop goes on with other work meanwhile. psycopg's own conversations with the server are written so.
"""

from __future__ import annotations

from collections.abc import Generator
from enum import Enum
from typing import Any, Final, Protocol, TypeAlias, TypeVar

T = TypeVar("T")


class Event(Enum):
    """What has come of waiting."""

    READY = "what was waited for has happened"
    LATE = "the deadline of the wait has passed"
    GONE = "the client is gone, for whom the work was done"


class Peer(Protocol):
    """The client for whom work is done, as a thread sees it."""

    @property
    def hang_up(self) -> int:
        """The events of ``poll`` that may mean that the client is gone, besides those that do."""

    def fileno(self) -> int:
        """The client's socket, or -1 when it is closed."""

    def probe(self) -> None:
        """Find out whether a client that has ended its sending still waits; if not, its socket breaks."""


class Wait(Protocol):
    """Something to wait for."""

    def block(self, peer: Peer | None) -> Event:
        """Wait for it in a thread."""


class _Elsewhere:
    """What follows may block in ways that are no step, so a loop has it done by a thread."""

    def block(self, peer: Peer | None) -> Event:  # noqa: ARG002 - a thread need not wait
        return Event.READY


ELSEWHERE: Final = _Elsewhere()

Steps: TypeAlias = Generator[Wait, Any, T]  #: is sent an Event; of None at the beginning


def run(steps: Steps[T], peer: Peer | None = None, event: Event | None = None) -> T:
    """Take all steps that are left in this thread, and return what they return.

    :param peer: when it is gone, the steps that wait for its sake are told so
    :param event: what has come of the last wait, if some steps were taken already
    """
    try:
        while True:
            event = steps.send(event).block(peer)
    except StopIteration as stop:
        result: T = stop.value
        return result
