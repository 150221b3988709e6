"""How log lines look, as text or as JSON, for the gateway and for gunicorn alike."""

from __future__ import annotations

import json
import logging
import logging.config
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from gunicorn.glogging import Logger

if TYPE_CHECKING:
    from gunicorn.config import Config

_OWN_ATTRIBUTES: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def _facts(record: logging.LogRecord) -> dict[str, Any]:
    """What the caller gave as ``extra``: request_id, database, duration and the like."""
    return {name: value for name, value in vars(record).items() if name not in _OWN_ATTRIBUTES}


class TextFormatter(logging.Formatter):
    """``2026-01-31T08:00:00.000Z INFO gateway.api the message request_id=…``."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, and under it the trace of an exception."""
        facts = "".join(f" {name}={value}" for name, value in _facts(record).items())
        line = f"{_timestamp(record)} {record.levelname} {record.name} {record.getMessage()}{facts}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Time, level, logger, message, the facts, and the trace of an exception."""
        line: dict[str, Any] = {
            "time": _timestamp(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_facts(record),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)  # of any text, also what is no valid Unicode; orjson refuses that


class GunicornLogger(Logger):
    """gunicorn's log goes where the gateway's goes; there is no access log, whose preparation costs every request."""

    def setup(self, cfg: Config) -> None:
        """Take the place of gunicorn's own handlers."""
        self.cfg = cfg
        self.error_log.propagate = True
        self._access_log_enabled = False


def configure_logging(level: str, log_format: str) -> None:
    """Send all log lines of this process, and of its later forks, to standard error.

    :param level: the lowest level that is written, lower case
    :param log_format: ``text`` or ``json``
    """
    formatter = JsonFormatter if log_format == "json" else TextFormatter
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"line": {"()": formatter}},
            "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
            "root": {"level": level.upper(), "handlers": ["stderr"]},
        }
    )


def _timestamp(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
