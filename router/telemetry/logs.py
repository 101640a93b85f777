"""The process's log: one line an event on stderr, `2026-01-31T12:00:00.123Z WARNING router.directory text`.

The law of the room: a line is one event. Text that came from elsewhere cannot break it, or it could forge others; only
the traceback of a bug of our own spans several.
"""

from __future__ import annotations

import logging
import sys
import time
from typing import Final

_CONTROL: Final = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160), 0x2028, 0x2029)}


class _LineFormatter(logging.Formatter):
    """Time in UTC, level, logger, text."""

    converter = staticmethod(time.gmtime)
    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the base class names it
        return super().formatMessage(record).translate(_CONTROL)


def set_up_logging(log_level: str) -> None:
    """Send everything from `log_level` upwards (`debug` … `critical`, in any case) to stderr, and nowhere else.

    Raises `ValueError` for a level that there is not.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_LineFormatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logging.basicConfig(level=log_level.upper(), handlers=[handler], force=True)
