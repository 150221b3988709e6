"""A worker's threads and its clients."""

from __future__ import annotations

import pytest

from gateway.serving.worker import Worker

CALL = b"POST /call HTTP/1.1"


class Client:
    """A connection whose next requests are known."""

    def __init__(self, *following: bytes | None) -> None:
        self._following = list(following)

    def peek_soon(self) -> bytes | None:
        return self._following.pop(0)


class BusyWorker(Worker):
    """Answers every request at once; from a certain one on, more calls are under way than there are threads."""

    def __init__(self, *, crowded_after: int) -> None:
        self._call_threads, self._calls_under_way = 4, 4
        self._crowded_after = crowded_after
        self.answered = 0

    def handle(self, _conn: Client) -> bool:
        self.answered += 1
        self._calls_under_way += self.answered == self._crowded_after
        return True


@pytest.mark.parametrize(
    ("following", "answered", "reusable"),
    [
        ([CALL, CALL, None], 3, True),  # it sends nothing more for now
        ([CALL, b""], 2, False),  # it closes the connection
        ([CALL, b"GET /health HTTP/1.1"], 2, True),  # that is for other threads
        ([CALL] * 9, 5, True),  # others wait for a thread
    ],
)
def test_a_thread_stays_with_its_client_while_no_other_waits(
    following: list[bytes | None], answered: int, reusable: bool
) -> None:
    worker = BusyWorker(crowded_after=5)
    assert worker._handle_calls(Client(*following)) is reusable
    assert worker.answered == answered
