"""Calls that the loop makes itself: it runs the next steps of each when its wait ends."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from email.utils import formatdate
from functools import lru_cache, partial
from time import monotonic, time
from typing import Any, Final

from gunicorn import SERVER

from gateway.api.request_ids import REQUEST_ID_HEADER, request_id_of
from gateway.api.responses import Answer
from gateway.api.v1.call import STATUS_LINES, CallMiddleware
from gateway.functions.protocol import ServerWait
from gateway.pools.turn import Turn
from gateway.serving.client import Client, State
from gateway.serving.heads import PlainHead
from gateway.serving.loop import READABLE, WRITABLE, Loop
from gateway.serving.threads import Threads
from gateway.steps import Event, Steps, Wait, run

_NEVER: Final = float("inf")
_READY: Final = Event.READY


class Calls:
    """The running calls of the clients in a worker's loop."""

    def __init__(
        self, loop: Loop, threads: Threads, middleware: CallMiddleware, *, is_stopping: Callable[[], bool]
    ) -> None:
        """Create it without calls.

        :param threads: run the steps that block
        :param is_stopping: returns whether connections are to be closed after their answers
        """
        self.loop = loop
        self.threads = threads
        self.is_stopping = is_stopping
        self._middleware = middleware
        self._under_way: dict[Client, LoopCall] = {}
        self._delayed: deque[tuple[float, LoopCall]] = deque()  # each with the time until which it needs no thread

    def begin(self, client: Client, head: PlainHead, body: bytes) -> None:
        """Make the call that *client* has sent."""
        client.begin()
        environ = head.environ.copy()
        environ["REMOTE_ADDR"] = client.peer
        steps = self._middleware.answer_steps(environ, body)
        call = self._under_way[client] = LoopCall(self, client, environ, steps, last=head.last)
        call.advance(None)

    def abandon(self, client: Client) -> None:
        """Cancel the call of a client that has disconnected."""
        self._under_way[client].abandon()

    def end(self, client: Client) -> None:
        """Forget the call of a client."""
        del self._under_way[client]

    def end_overdue(self, now: float) -> None:
        """Resume the calls whose deadline has passed, and probe clients that have ended their sending."""
        for client, call in list(self._under_way.items()):
            if call.deadline < now:
                call.be_late()
            elif client.ended:
                client.probe()

    def delay(self, call: LoopCall, until: float) -> None:
        """Make *call* check at the time *until* whether it needs a thread."""
        self._delayed.append((until, call))

    @property
    def has_delayed(self) -> bool:
        """Return whether a call is delayed."""
        return bool(self._delayed)

    def seconds_of_delay(self) -> float:
        """Return the seconds until :meth:`resume_delayed` must be called, if :attr:`has_delayed`."""
        return max(0.0, self._delayed[0][0] - monotonic())

    def resume_delayed(self) -> None:
        """Resume the calls whose delay has ended."""
        while self._delayed and self._delayed[0][0] <= monotonic():
            self._delayed.popleft()[1].take_turn()

    def home_of(self, body: bytes) -> str | None:
        """Return the database that a call's body names, if it names one."""
        return self._middleware.home_of(body)


class LoopCall:
    """A running call: in the loop or, after a step that blocks, in a thread.

    :ivar deadline: of its wait in the loop, on the clock of ``time.monotonic``
    """

    __slots__ = ("_calls", "_client", "_environ", "_last", "_steps", "_wait", "deadline")

    def __init__(
        self, calls: Calls, client: Client, environ: dict[str, Any], steps: Steps[Answer], *, last: bool
    ) -> None:
        """Create it before its first step.

        :param last: close the connection after the answer
        """
        self.deadline = _NEVER
        self._calls = calls
        self._client = client
        self._environ = environ
        self._steps = steps
        self._last = last
        self._wait: Wait | None = None  # None: a thread runs the steps, or none are left

    def on_event(self, events: int) -> None:  # noqa: ARG002 - reading shows which
        """Resume the call after the server has answered, or closed the connection."""
        if isinstance(self._wait, ServerWait):
            self._calls.loop.disarm(self._wait.descriptor)
        self.advance(_READY)

    def be_late(self) -> None:
        """Resume the call after its deadline."""
        self._stop_waiting()
        self.advance(Event.LATE)

    def abandon(self) -> None:
        """Resume the call after its client has disconnected. A call in a thread detects that itself."""
        wait = self._wait
        if isinstance(wait, Turn) or (isinstance(wait, ServerWait) and wait.for_client):
            self._stop_waiting()
            self.advance(Event.GONE)

    def _stop_waiting(self) -> None:
        wait, self._wait = self._wait, None
        if isinstance(wait, ServerWait):
            self._calls.loop.disarm(wait.descriptor)

    def advance(self, event: Event | None) -> None:
        """Run the next steps, up to a wait.

        :param event: the result of the last wait; None at first
        """
        try:
            wait = self._steps.send(event)
        except StopIteration as stop:
            self._answer(stop.value)
            return
        if isinstance(wait, ServerWait):
            if wait.for_client and self._client.state is State.GONE:
                self.advance(Event.GONE)
                return
            self._wait, self.deadline = wait, wait.deadline
            loop = self._calls.loop
            if not (wait.drained and wait.armed_by is loop and loop.arm_again(wait.descriptor, self)):
                loop.arm(wait.descriptor, self, READABLE | (WRITABLE if wait.sending else 0))
                wait.armed_by = None if wait.sending else loop
        elif isinstance(wait, Turn):
            self._wait, self.deadline = wait, wait.deadline
            wait.listen(partial(self._calls.loop.post, self.take_turn))
            self.take_turn()
        else:
            self._go_elsewhere(wait)

    def take_turn(self) -> None:
        """Continue if there is a connection, or if a thread must make one."""
        turn = self._wait
        if not isinstance(turn, Turn) or not turn.is_ready:
            return
        if turn.needs_thread and (seconds := turn.seconds_to_grow()) > 0:
            self._calls.delay(self, monotonic() + seconds)
            return
        self._stop_waiting()
        if turn.needs_thread:
            self._go_elsewhere(turn)
        else:
            self.advance(_READY)

    def _go_elsewhere(self, wait: Wait) -> None:
        self._wait, self.deadline = None, _NEVER
        self._calls.threads.submit(partial(self._take_steps, wait), self._refuse)

    def _take_steps(self, wait: Wait) -> None:
        """Block in *wait*, and run all remaining steps, in a thread."""
        answer = run(self._steps, self._client, wait.block(self._client))
        self._calls.loop.post(partial(self._answer, answer))

    def _refuse(self, answer: bytes) -> None:
        """Send *answer* instead of running the remaining steps."""
        self._steps.close()
        self._calls.end(self._client)
        self._client.answer(answer, last=True)

    def _answer(self, answer: Answer) -> None:
        self._calls.end(self._client)
        last = self._last or self._calls.is_stopping()
        self._client.answer(http_answer(answer, request_id_of(self._environ), last=last), last=last)


_ANSWER: Final = b"%b%d\r\n" + REQUEST_ID_HEADER.encode() + b": %b\r\n%b\r\n%b"


@lru_cache(maxsize=8)
def _first_lines(status: int, last: bool, second: int) -> bytes:
    """Return the head of an answer up to the length of its body; it is the same for a second."""
    return (
        f"HTTP/1.1 {STATUS_LINES[status]}\r\nServer: {SERVER}\r\nDate: {formatdate(second, usegmt=True)}\r\n"
        f"Connection: {'close' if last else 'keep-alive'}\r\nContent-Type: application/json\r\nContent-Length: "
    ).encode()


def http_answer(answer: Answer, request_id: str, *, last: bool) -> bytes:
    """Return *answer* as a message of HTTP.

    :param last: announce that the connection will be closed
    """
    more = b""
    if answer.headers:
        more = "".join(f"{name}: {value}\r\n" for name, value in answer.headers).encode("latin-1")
    first_lines = _first_lines(answer.status, last, int(time()))
    return _ANSWER % (first_lines, len(answer.body), request_id.encode(), more, answer.body)
