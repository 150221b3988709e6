from __future__ import annotations

import json
import logging
import sys

import pytest

from gateway.serving.logs import JsonFormatter, TextFormatter


@pytest.fixture
def record() -> logging.LogRecord:
    try:
        raise ValueError("broken")  # noqa: TRY301
    except ValueError:
        made = logging.makeLogRecord(
            {"name": "gateway.x", "levelno": logging.ERROR, "levelname": "ERROR", "msg": "no %s", "args": ("way",)}
        )
        made.exc_info = sys.exc_info()
    made.created = 1_700_000_000.25
    made.request_id = "abc"
    made.seconds = 1.5
    return made


def test_a_json_line_is_one_object_with_the_facts_and_the_trace(record):
    text = JsonFormatter().format(record)
    assert "\n" not in text
    line = json.loads(text)
    assert line.pop("exception").endswith("ValueError: broken")
    assert line == {
        "time": "2023-11-14T22:13:20.250Z",
        "level": "error",
        "logger": "gateway.x",
        "message": "no way",
        "request_id": "abc",
        "seconds": 1.5,
    }


def test_a_json_line_takes_whatever_is_logged(record):
    record.database = {"name": object()}
    record.msg, record.args = "\udcff \x00", ()
    assert json.loads(JsonFormatter().format(record))["logger"] == "gateway.x"


def test_a_text_line_has_the_facts_and_the_trace_under_it(record):
    first, *trace = TextFormatter().format(record).splitlines()
    assert first == "2023-11-14T22:13:20.250Z ERROR gateway.x no way request_id=abc seconds=1.5"
    assert trace[-1] == "ValueError: broken"
