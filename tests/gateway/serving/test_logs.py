from __future__ import annotations

import json
import logging
import re
import socket
import subprocess
import sys

import pytest

from gateway.api.request_ids import request_id_of
from gateway.serving.logs import JournalHandler, JsonFormatter, TextFormatter
from tests.support.waiting import PATIENCE_SECONDS


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


@pytest.mark.parametrize("formatter", [JsonFormatter(), TextFormatter()])
def test_a_line_has_the_trace_of_the_request(record, formatter):
    trace = f"00-{'ab' * 16}-{'cd' * 8}-01"
    record.request_id = request_id_of({"HTTP_X_REQUEST_ID": "abc", "HTTP_TRACEPARENT": trace})
    line = formatter.format(record)
    for fact in ("abc", "trace_id", "ab" * 16, "parent_id", "cd" * 8):
        assert fact in line


def test_a_json_line_accepts_every_logged_value(record):
    record.database = {"name": object()}
    record.msg, record.args = "\udcff \x00", ()
    assert json.loads(JsonFormatter().format(record))["logger"] == "gateway.x"


def test_a_text_line_has_the_facts_and_the_trace_under_it(record):
    first, *trace = TextFormatter().format(record).splitlines()
    assert first == "2023-11-14T22:13:20.250Z ERROR gateway.x no way request_id=abc seconds=1.5"
    assert trace[-1] == "  ValueError: broken"


@pytest.mark.parametrize("separator", ["\n", "\r\n", "\x0b", "\x85", "\u2028", "\x1b[2K\r"])
def test_no_logged_text_can_forge_a_line_or_a_fact(record, separator):
    forged = f"boom{separator}2026-01-01T00:00:00.000Z INFO gateway.api all is well"
    record.msg, record.args, record.cause = "%s", (forged,), f"{forged} request_id=forged"
    record.exc_info = (ValueError, ValueError(forged), None)
    first, *others = TextFormatter().format(record).splitlines()
    assert all(line.startswith("  ") for line in others)
    assert "\x1b" not in first
    assert ' cause="boom' in first
    assert first.endswith('request_id=forged"')


@pytest.mark.parametrize("text", ["x request_id=1", 'x" request_id=1 a="', 'x\\" request_id=1 a=\\"', "\\"])
def test_a_message_or_a_fact_cannot_pass_for_another_fact(record, text):
    record.exc_info = None
    record.msg, record.args, record.cause = "failed: %s", (text,), text
    line = TextFormatter().format(record).partition("gateway.x ")[2]
    unquoted = re.sub(r'"(?:[^"\\]|\\.)*"', "", line)
    assert re.findall(r"(\w+)=", unquoted) == ["request_id", "seconds", "cause"]


@pytest.mark.parametrize("formatter", [TextFormatter(), JsonFormatter()])
def test_a_long_text_is_cut(record, formatter):
    record.msg, record.args, record.cause = "%s", ("m" * 1_000_000,), "c" * 1_000_000
    record.exc_info = (ValueError, ValueError("e" * 1_000_000), None)
    line = formatter.format(record)
    assert len(line) < 40_000
    assert "1000000 characters" in line


def test_the_journal_gets_the_line_and_its_facts_as_fields(record, tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journal:
        journal.bind(str(tmp_path / "journal"))
        journal.settimeout(PATIENCE_SECONDS)
        record.cause = "two\nlines"
        JournalHandler(tmp_path / "journal").handle(record)
        fields = journal.recv(65536)
    for field in (
        b"PRIORITY=3\n",
        b"REQUEST_ID=abc\n",
        b"SECONDS=1.5\n",
        b"LOGGER=gateway.x\n",
        b"CAUSE=two\\nlines\n",
    ):
        assert field in fields
    assert b"gateway.x no way request_id=abc seconds=1.5" in fields
    assert b"ValueError: broken" in fields


def test_a_line_that_the_journal_does_not_take_is_not_lost(record, tmp_path, capsys):
    JournalHandler(tmp_path / "nobody").handle(record)
    assert "ERROR gateway.x no way request_id=abc" in capsys.readouterr().err


@pytest.mark.parametrize(("log_format", "is_journal"), [("text", True), ("json", False)])
def test_the_journal_is_recognized_by_standard_error(log_format, is_journal):
    """As systemd starts services: JOURNAL_STREAM names the device and inode of standard error."""
    code = (
        "import os, logging; stat = os.fstat(2); os.environ['JOURNAL_STREAM'] = f'{stat.st_dev}:{stat.st_ino}'\n"
        f"from gateway.serving.logs import configure_logging; configure_logging('info', {log_format!r})\n"
        "print(type(logging.getLogger().handlers[0]).__name__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ("JournalHandler" if is_journal else "StreamHandler")
