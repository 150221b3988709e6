"""Work with waits, written once as a generator that both the event loop and threads can run.

The generator yields each wait and is resumed with its result. A thread blocks in each wait (:func:`run`); the loop
serves other clients meanwhile. psycopg's own exchanges with the server have the same form.
"""

from __future__ import annotations

from collections.abc import Generator
from enum import Enum
from typing import Any, Final, Protocol, TypeAlias, TypeVar

T = TypeVar("T")


class Event(Enum):
    """The result of a wait."""

    READY = "the wait is over"
    LATE = "the deadline of the wait has passed"
    GONE = "the client of the work has disconnected"


class Peer(Protocol):
    """The client of the work, as a thread sees it."""

    @property
    def hang_up(self) -> int:
        """The events of ``poll`` after which the client may have disconnected, besides errors."""

    def fileno(self) -> int:
        """Return the descriptor of the client's socket, or -1 if it is closed."""

    def probe(self) -> None:
        """Send a byte to a client that has ended its sending; if it has disconnected, its socket reports an error."""


class Wait(Protocol):
    """A wait, as steps yield it."""

    def block(self, peer: Peer | None) -> Event:
        """Wait in this thread, and return the result."""


class _Elsewhere:
    """A mark before steps that may block otherwise than by yielding, so that the loop runs them in a thread."""

    def block(self, peer: Peer | None) -> Event:  # noqa: ARG002 - there is no wait
        return Event.READY


ELSEWHERE: Final = _Elsewhere()

Steps: TypeAlias = Generator[Wait, Any, T]  #: receives an Event; None first


def run(steps: Steps[T], peer: Peer | None = None, event: Event | None = None) -> T:
    """Run the remaining steps in this thread, and return their result.

    :param peer: the client of the work; when it disconnects, waits that depend on it end with GONE
    :param event: the result of the last wait, if some steps have run already
    """
    try:
        while True:
            event = steps.send(event).block(peer)
    except StopIteration as stop:
        result: T = stop.value
        return result
