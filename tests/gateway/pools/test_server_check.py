"""Asking the server how it is, without waiting for it."""

from __future__ import annotations

from threading import Event

import pytest

from gateway.errors import ConnectionFailed
from gateway.pools import server_check
from gateway.pools.server_check import ServerCheck


@pytest.fixture
def impatient(monkeypatch) -> None:
    monkeypatch.setattr(server_check, "CHECK_SECONDS", 0.02)
    monkeypatch.setattr(server_check, "FRESH_SECONDS", 0.0)


def test_an_answer_is_cached_for_a_short_time() -> None:
    asked = []
    check = ServerCheck(lambda: asked.append(1))
    assert check.is_connected()
    assert check.is_connected()
    assert len(asked) == 1


def test_a_cached_answer_is_discarded_after_a_connection_was_lost() -> None:
    asked: list[int] = []
    check = ServerCheck(lambda: asked.append(1), doubts=lambda: True)
    assert check.is_connected()
    assert check.is_connected()
    assert len(asked) == 2


@pytest.mark.parametrize("error", [ConnectionFailed("gone"), ValueError("ours")])
def test_an_unreachable_server_is_not_connected(error) -> None:
    def ask() -> None:
        raise error

    assert not ServerCheck(ask).is_connected()


def test_a_hanging_server_is_queried_once_and_found_again_when_it_answers(impatient) -> None:
    hanging, back, asked = Event(), Event(), []

    def ask() -> None:
        asked.append(1)
        hanging.set()
        assert back.wait(30)

    check = ServerCheck(ask)
    assert not check.is_connected()
    assert not check.is_connected()
    assert hanging.is_set()
    assert len(asked) == 1
    back.set()
    server_check.CHECK_SECONDS = 30
    assert check.is_connected()
