from __future__ import annotations

import logging

from gateway.events import CallFailed, Events, RequestFailed


def test_an_event_reaches_the_listener_of_its_type_and_of_its_process():
    events, others, seen = Events(), Events(), []
    events.listen(RequestFailed, seen.append)
    events.emit(CallFailed("p", "f", "query_failed"))
    others.emit(RequestFailed("not_found"))
    assert seen == []
    events.emit(RequestFailed("not_found"))
    assert seen == [RequestFailed("not_found")]


def test_a_listener_that_raises_is_logged_and_removed(caplog):
    events, seen = Events(), []

    def fail(event: RequestFailed) -> None:
        seen.append(event)
        raise OSError("the disk is full")

    events.listen(RequestFailed, fail)
    with caplog.at_level(logging.ERROR):
        events.emit(RequestFailed("not_found"))
        events.emit(RequestFailed("not_found"))
    assert len(seen) == 1
    assert [record.getMessage() for record in caplog.records] == ["RequestFailed is no longer counted in this process"]


def test_removed_listeners_hear_nothing():
    events, seen = Events(), []
    events.listen(RequestFailed, seen.append)
    events.remove_listeners()
    events.emit(RequestFailed("not_found"))
    assert seen == []
