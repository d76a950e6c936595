"""Logging: structlog for Kannon, the standard library for its libraries; one line per event on standard error.

In: level and format (`log.level`, `log.format`). Out: all loggers configured, Kannon's and those of libraries.
Secrets are masked by key and in URLs, and control characters from remote servers are escaped. An exception is one line;
its traceback appears at level debug only. The runner binds the name of the component (contextvars).
"""

import contextlib
import io
import logging
import re
import sys
from functools import lru_cache
from typing import Literal, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

Level = Literal["debug", "info", "warning", "error"]
Format = Literal["console", "json"]

_SECRET = re.compile(r"password|passwd|secret|token|authorization|api_?key|private|credential", re.IGNORECASE)
_USERINFO = re.compile(r"(://)[^/\s@]+@")
_CONTROL = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0))} | {9: "\\t", 10: "\\n", 13: "\\r"}
_MANY_LINES = frozenset({"exception", "stack", "exc_info"})
_QUOTED = frozenset(" \t\r\n=\"'")

# Libraries that log too much at info. Their warnings are useful.
_QUIET = ("asyncio", "asyncpg", "nats", "grpclib", "h2", "hpack", "hypercorn", "mail.log", "mail.debug", "dns")


def setup_logging(
    level: Level = "info", form: Format = "console", stream: TextIO | io.TextIOBase | None = None
) -> None:
    """Configures both logging systems. May be called again."""
    out = sys.stderr if stream is None else stream
    threshold = logging.getLevelNamesMapping()[level.upper()]
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info if level == "debug" else exception_in_one_line,
        exceptions_as_text,
        mask_secrets,
    ]
    renderers = _renderers(form, out)
    # Not through the standard library, which costs as much as the rest of a line: each delivery writes one.
    structlog.configure(
        processors=[*shared, *renderers],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=lambda *_: _Lines(out),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.ExtraAdder(allow=()), *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderers],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(threshold)
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(threshold, logging.WARNING))
    logging.captureWarnings(True)
    logging.raiseExceptions = False  # a closed standard error does not stop the process


class _Lines:
    """Writes lines. A closed standard error does not stop the process."""

    def __init__(self, out: TextIO | io.TextIOBase) -> None:
        self._out = out

    def msg(self, line: str) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._out.write(line + "\n")
            self._out.flush()

    debug = info = warning = warn = error = critical = exception = msg


def describe(error: BaseException) -> str:
    """An exception in one line; for a group, its first leaf and the number of the others."""
    first, *more = leaves(error)
    text = " ".join(str(first).split())
    name = type(first).__name__
    return (f"{name}: {text}" if text else name) + (f" (and {len(more)} more)" if more else "")


def leaves(error: BaseException) -> list[BaseException]:
    """The exceptions inside a group and its groups, in order; any other exception alone."""
    if not isinstance(error, BaseExceptionGroup):
        return [error]
    return [leaf for inner in error.exceptions for leaf in leaves(inner)]


def exception_in_one_line(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """`exc_info` becomes `error="ValueError: …"`."""
    info = event.pop("exc_info", None)
    if info is True:
        info = sys.exc_info()
    error = info[1] if isinstance(info, tuple) else info
    if isinstance(error, BaseException):
        event.setdefault("error", describe(error))
    event.pop("stack_info", None)
    return event


def exceptions_as_text(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """`error=error` prints the same as `exc_info=error`."""
    for key, value in event.items():
        if isinstance(value, BaseException):
            event[key] = describe(value)
    return event


def mask_secrets(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """`token="…"` and `nats://user:password@host` become ***."""
    for key, value in event.items():
        if _is_secret(key):
            event[key] = "***"
        elif isinstance(value, str) and "://" in value and "@" in value:
            event[key] = _USERINFO.sub(r"\1***@", value)
    return event


@lru_cache(maxsize=1024)
def _is_secret(key: str) -> bool:
    return _SECRET.search(key) is not None


def escape_controls(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Prevents a remote server's text from forging a line or moving the cursor. Tracebacks keep their lines."""
    for key, value in event.items():
        if key == "exception" or not isinstance(value, str) or value.isprintable():
            continue
        if key == "event" or _QUOTED.isdisjoint(value):  # the renderer quotes and escapes the others
            event[key] = value.translate(_CONTROL)
    return event


def _renderers(form: Format, out: TextIO | io.TextIOBase) -> list[Processor]:
    if form == "json":
        return [structlog.processors.JSONRenderer(ensure_ascii=False)]
    return [escape_controls, _console(colors=True) if out.isatty() else render_plain]


def _console(colors: bool) -> structlog.dev.ConsoleRenderer:
    # The plain formatter, because the default one prints local variables, which may hold mail.
    return structlog.dev.ConsoleRenderer(
        colors=colors, pad_event_to=0, pad_level=False, exception_formatter=structlog.dev.plain_traceback
    )


_PLAIN = _console(colors=False)


def render_plain(logger: WrappedLogger, name: str, event: EventDict) -> str:
    """As structlog's console renderer without colours, in a fifth of its time."""
    if not event.keys().isdisjoint(_MANY_LINES):
        return _PLAIN(logger, name, event)
    head = f"{event.pop('timestamp')} [{event.pop('level')}] {event.pop('event')}"
    return " ".join([head, *[f"{key}={_plain_value(event[key])}" for key in sorted(event)]])


def _plain_value(value: object) -> str:
    if not isinstance(value, str):
        return repr(value)
    return value if _QUOTED.isdisjoint(value) else repr(value)
