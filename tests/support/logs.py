"""The log of the tests: shown with the test that fails, and no line with the repr of an object."""

import io
import sys

import structlog
from structlog.typing import EventDict, WrappedLogger

from kannon.log import setup_logging


class CurrentStderr(io.TextIOBase):
    """Whatever sys.stderr is at the moment, so that pytest shows a line with the right test."""

    def write(self, text: str) -> int:
        return sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()

    def isatty(self) -> bool:
        return False


def setup_test_logging() -> None:
    """The program's own logging, at debug. A log call with a value that a line would show as `Name(field=…)` or
    `<name at 0x…>` raises TypeError."""
    setup_logging("debug", stream=CurrentStderr())
    structlog.configure(processors=[refuse_objects, *structlog.get_config()["processors"]])


def refuse_objects(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    for key, value in event.items():
        if key not in ("exc_info", "_record", "_from_structlog") and not _is_plain(value):
            raise TypeError(f"{event['event']!r}: the log line would show {key}={value!r}")
    return event


def _is_plain(value: object) -> bool:
    """Exceptions become one line in kannon.log."""
    if isinstance(value, list):
        return all(isinstance(each, str | int) for each in value)
    return value is None or isinstance(value, str | int | float | BaseException)
