"""The files of the metrics, by one process that takes the parts of several workers."""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Iterator

import pytest
from flask import Flask
from prometheus_client import values

from gateway.api.metrics import Metrics
from gateway.events import Events, RequestFailed


@pytest.fixture
def events() -> Events:
    return Events()


@pytest.fixture
def metrics(events: Events, monkeypatch: pytest.MonkeyPatch) -> Iterator[Metrics]:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", "")  # both are set by the object, and belong to the process
    monkeypatch.setattr(values, "ValueClass", values.ValueClass)
    made = Metrics(Flask("test"), events)
    yield made
    made.files.remove()


def errors_in(metrics: Metrics) -> dict[str, float]:
    return {labels["type"]: count for labels, count in metrics.series("db_gateway_errors")}


def test_the_counts_of_ended_workers_are_folded_into_one_file(metrics: Metrics, events: Events) -> None:
    for worker in (1, 2, 3):
        metrics.begin(worker)
        events.emit(RequestFailed("not_found"))
    assert errors_in(metrics) == {"not_found": 3}
    metrics.files.fold({3})
    assert errors_in(metrics) == {"not_found": 3}
    names = {file.name for file in metrics.files.directory.glob("*.db")}
    assert {"counter_ended.db", "counter_3.db"} <= names
    assert not names & {"counter_1.db", "counter_2.db"}


def test_a_worker_without_space_for_its_files_counts_nothing(
    metrics: Metrics, events: Events, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(descriptor: int, offset: int, length: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", fail)
    with caplog.at_level(logging.ERROR):
        metrics.begin(1)
        events.emit(RequestFailed("not_found"))
    assert errors_in(metrics) == {}
    assert [record.getMessage() for record in caplog.records] == [
        "the metrics of this worker will be missing from /metrics: [Errno 28] No space left on device"
    ]
