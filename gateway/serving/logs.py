"""The format of log lines of the gateway and of gunicorn: text, JSON, or fields of the journal."""

from __future__ import annotations

import json
import logging
import logging.config
import re
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from gunicorn.glogging import Logger
from logging_journald import JournaldTransport, check_journal_stream

if TYPE_CHECKING:
    from gunicorn.config import Config

_OWN_ATTRIBUTES: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
#: Control characters, line and paragraph separators, those that change the direction of text, and halves of pairs.
_UNPRINTABLE: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
#: syslog's, by the levels of logging.
_PRIORITIES: Final = {logging.CRITICAL: 2, logging.ERROR: 3, logging.WARNING: 4, logging.INFO: 6, logging.DEBUG: 7}
_NO_WORD: Final = re.compile(r"[\s\"=]|^$")
_LONGEST: Final = 10_000  #: characters of a message, a fact or a trace; an error of the server may have megabytes


def _facts(record: logging.LogRecord) -> dict[str, Any]:
    """Return the ``extra`` of the caller: request_id, database, duration and the like."""
    facts = {name: value for name, value in vars(record).items() if name not in _OWN_ATTRIBUTES}
    trace: Mapping[str, str] = getattr(facts.get("request_id"), "trace", {})
    return {name: _cut(value) if isinstance(value, str) else value for name, value in {**facts, **trace}.items()}


def _cut(text: str) -> str:
    """Return the first characters of a text, and how many it has in all if these are not all."""
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}… ({len(text)} characters)"


class TextFormatter(logging.Formatter):
    """``2026-01-31T08:00:00.000Z INFO gateway.api the message request_id=…``."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, and under it, indented, the trace of an exception.

        A message, a fact or an exception may contain text of clients. It can neither forge a line of the gateway, as
        line breaks are escaped, nor a fact, as texts with an equals sign are quoted.
        """
        return f"{_timestamp(record)} {record.levelname} {self.format_bare(record)}"

    def format_bare(self, record: logging.LogRecord) -> str:
        """Return the line without the time and the level, which the journal stores separately."""
        facts = "".join(f" {name}={_word(value)}" for name, value in _facts(record).items())
        message = _cut(record.getMessage())
        line = f"{record.name} {_quoted(message) if '=' in message else _printable(message)}{facts}"
        if record.exc_info:
            trace = _cut(self.formatException(record.exc_info)).split("\n")
            line = "\n  ".join((line, *map(_printable, trace)))
        return line


def _word(value: object) -> str:
    """Return *value* as one word: in quotes if it has a space, a quote or an equals sign."""
    text = str(value)
    return _quoted(text) if _NO_WORD.search(text) else _printable(text)


def _quoted(text: str) -> str:
    """Return *text* in quotes, with a backslash before each quote and backslash in it."""
    return '"' + _printable(text.replace("\\", "\\\\").replace('"', '\\"')) + '"'


def _printable(text: str) -> str:
    """Return *text* with control characters, and those that reorder or break lines, as escapes."""
    return _UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return an object with time, level, logger, message, the facts, and the trace of an exception."""
        line: dict[str, Any] = {
            "time": _timestamp(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _cut(record.getMessage()),
            **_facts(record),
        }
        if record.exc_info:
            line["exception"] = _cut(self.formatException(record.exc_info))
        return json.dumps(line, default=str)  # of any text, also what is no valid Unicode; orjson refuses that


class JournalHandler(logging.Handler):
    """Sends lines to systemd's journal, with their facts as fields: ``journalctl REQUEST_ID=…``."""

    def __init__(self, address: Path = JournaldTransport.SOCKET_PATH) -> None:
        super().__init__()
        self._journal = JournaldTransport(address, connected=False)
        self._formatter = TextFormatter()

    def emit(self, record: logging.LogRecord) -> None:
        """Send the line; if the journal refuses it, write it to standard error."""
        fields = {name: _printable(str(value)) for name, value in _facts(record).items()}
        fields |= {
            "MESSAGE": self._formatter.format_bare(record),
            "PRIORITY": str(_PRIORITIES.get(record.levelno, 6)),
            "SYSLOG_IDENTIFIER": "stonescriptdb-gateway",
            "LOGGER": record.name,
        }
        try:
            self._journal.send(fields.items())
        except OSError:
            sys.stderr.write(self._formatter.format(record) + "\n")


class GunicornLogger(Logger):
    """Sends gunicorn's log lines to the gateway's handler. There is no access log, which would cost every request."""

    def setup(self, cfg: Config) -> None:
        """Replace gunicorn's handlers."""
        self.cfg = cfg
        self.error_log.propagate = True
        self._access_log_enabled = False


def configure_logging(level: str, log_format: str) -> None:
    """Send all log lines of this process, and of its later forks, to standard error, or to the journal behind it.

    :param level: the lowest level that is written, lower case
    :param log_format: ``text`` or ``json``
    """
    formatter = JsonFormatter if log_format == "json" else TextFormatter
    handler: dict[str, Any] = {"class": "logging.StreamHandler", "formatter": "line"}
    if log_format == "text" and check_journal_stream():
        handler = {"()": JournalHandler}
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"line": {"()": formatter}},
            "handlers": {"stderr": handler},
            # The audit log of queries is written at every level.
            "loggers": {"gateway.audit": {"level": "INFO"}},
            "root": {"level": level.upper(), "handlers": ["stderr"]},
        }
    )


def _timestamp(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
