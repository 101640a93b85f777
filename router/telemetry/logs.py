"""The process's log: one line an event on stderr, `2026-01-31T12:00:00.123Z WARNING router.directory text`, or as JSON.

The law of the room: a line is one event. Text that came from elsewhere cannot break it, or it could forge others; only
the traceback of a bug of our own spans several, where lines are for people.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from enum import StrEnum
from typing import Final

_CONTROL: Final = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160), 0x2028, 0x2029)}


class Form(StrEnum):
    """Whom lines are for."""

    HUMAN = "human"
    JSON = "json"


class _LineFormatter(logging.Formatter):
    """Time in UTC, level, logger, text."""

    converter = staticmethod(time.gmtime)
    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the base class names it
        return super().formatMessage(record).translate(_CONTROL)


class _JsonFormatter(_LineFormatter):
    """The same as an object, in one line with its traceback."""

    def format(self, record: logging.LogRecord) -> str:
        event = {
            "time": self.formatTime(record),
            "level": record.levelname,
            "logger": record.name,
            "text": record.getMessage(),
        }
        if record.exc_info:
            event["traceback"] = self.formatException(record.exc_info)
        return json.dumps(event)


def set_up_logging(log_level: str, form: Form = Form.HUMAN) -> None:
    """Send everything from `log_level` upwards (`debug` … `critical`, in any case) to stderr, and nowhere else.

    Raises `ValueError` for a level that there is not.
    """
    handler = logging.StreamHandler(sys.stderr)
    line = _LineFormatter("%(asctime)s %(levelname)s %(name)s %(message)s")
    handler.setFormatter(line if form is Form.HUMAN else _JsonFormatter())
    logging.basicConfig(level=log_level.upper(), handlers=[handler], force=True)
