"""The log: one line per event, no secrets, no forged lines, libraries from warning on."""

import io
import json
import logging
import subprocess
import sys
from collections.abc import Iterator

import pytest
import structlog
from pydantic import SecretStr

from kannon.log import Format, Level, describe, render_plain, setup_logging
from kannon.mail.verdict import Delivered, Reply
from tests.support.logs import setup_test_logging


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    yield
    structlog.contextvars.clear_contextvars()
    setup_test_logging()


def configured(level: Level = "info", form: Format = "console") -> io.StringIO:
    out = io.StringIO()
    setup_logging(level, form, stream=out)
    return out


def raise_two_lines() -> None:
    raise ValueError("first\nsecond")


def test_a_line_names_the_running_component() -> None:
    out = configured()
    structlog.contextvars.bind_contextvars(component="sender")
    structlog.get_logger().info("sent", to="a@example.com")
    assert out.getvalue().endswith("[info] sent component=sender to=a@example.com\n")


def test_json_has_one_object_per_line() -> None:
    out = configured(form="json")
    structlog.get_logger().warning("late", seconds=3, text='ü "x"\n')
    (line,) = out.getvalue().splitlines()
    entry = json.loads(line)
    assert entry.pop("timestamp").endswith("Z")
    assert entry == {"event": "late", "level": "warning", "seconds": 3, "text": 'ü "x"\n'}


@pytest.mark.parametrize(("level", "expected"), [("debug", 4), ("info", 3), ("warning", 2), ("error", 1)])
def test_each_level_hides_the_lower_ones(level: Level, expected: int) -> None:
    out = configured(level)
    log = structlog.get_logger()
    for write in (log.debug, log.info, log.warning, log.error):
        write("event")
    assert len(out.getvalue().splitlines()) == expected


@pytest.mark.parametrize("form", ["console", "json"])
def test_secrets_are_masked(form: Format) -> None:
    out = configured("debug", form)
    structlog.get_logger().info(
        "connected to nats://kannon:hunter2@127.0.0.1:4222",
        url="postgresql://kannon:hunter2@db/kannon",
        password="hunter2",
        admin_token="hunter2",
        authorization="Basic hunter2",
        setting=SecretStr("hunter2"),
        error=OSError("cannot reach nats://hunter2@127.0.0.1"),
    )
    try:
        raise ValueError("postgresql://kannon:hunter2@db/kannon")
    except ValueError:
        structlog.get_logger().error("failed", exc_info=True)
        logging.getLogger("x").exception("failed with nats://u:hunter2@h")
    assert "hunter2" not in out.getvalue()
    assert "postgresql://***@db/kannon" in out.getvalue()


def test_an_exception_is_one_line_above_debug() -> None:
    out = configured("info")
    try:
        raise_two_lines()
    except ValueError:
        structlog.get_logger().error("failed", exc_info=True)
        logging.getLogger("asyncio").exception("Task exception was never retrieved")
    first, second = out.getvalue().splitlines()
    assert first.endswith("[error] failed error='ValueError: first second'")
    assert second.endswith("[error] Task exception was never retrieved error='ValueError: first second'")


def test_a_traceback_is_shown_at_debug() -> None:
    out = configured("debug")
    try:
        raise_two_lines()
    except ValueError as error:
        structlog.get_logger().debug("traceback", exc_info=error)
    assert "in raise_two_lines" in out.getvalue()


def test_a_remote_server_cannot_forge_a_line() -> None:
    out = configured()
    said = "550 no\r\n2026 [info] delivered \x1b[2J\x9b2J"
    structlog.get_logger().info("refused", reply=said, banner="\x1b[2J")
    logging.getLogger("library").warning("server said %s", said)
    first, second = out.getvalue().splitlines()
    assert first.endswith(r"refused banner=\x1b[2J reply='550 no\r\n2026 [info] delivered \x1b[2J\x9b2J'")
    assert second.endswith(r"server said 550 no\r\n2026 [info] delivered \x1b[2J\x9b2J")


@pytest.mark.parametrize("name", ["asyncio", "nats", "hypercorn.access", "mail.log", "grpclib.server", "hpack.table"])
def test_libraries_are_logged_from_warning_on(name: str) -> None:
    out = configured("debug")
    library = logging.getLogger(name)
    library.debug("chatter")
    library.info("chatter")
    library.warning("trouble")
    (line,) = out.getvalue().splitlines()
    assert line.endswith("[warning] trouble")


def test_python_warnings_are_logged() -> None:
    program = (
        "import warnings, kannon.log; kannon.log.setup_logging(); "
        "warnings.simplefilter('always'); warnings.warn('old', DeprecationWarning)"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    (line,) = result.stderr.splitlines()
    assert "[warning]" in line
    assert "DeprecationWarning: old" in line


def test_a_closed_stream_raises_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    out = configured()
    out.close()
    structlog.get_logger().error("unheard")
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    "fields",
    [
        {"recipient": "a@example.com", "attempt": 1, "reply": "250 2.0.0 Ok", "host": "", "batch": None},
        {"reply": 'it\'s "x"\t=', "at": 0.5, "list": ["a b"], "flag": True, "ü": "é"},
        {"exception": "Traceback (most recent call last):\n  x", "why": "y"},
    ],
)
def test_a_plain_line_is_as_structlog_renders_it(fields: dict[str, object]) -> None:
    event = {"event": "delivered", "level": "info", "timestamp": "2026-01-31T12:00:00.000000Z", **fields}
    structlogs = structlog.dev.ConsoleRenderer(
        colors=False, pad_event_to=0, pad_level=False, exception_formatter=structlog.dev.plain_traceback
    )
    assert render_plain(None, "info", dict(event)) == structlogs(None, "info", dict(event))


@pytest.mark.parametrize(
    "value", [Delivered(Reply(250, "ok"), "mx"), object(), ("a", 1), {"a": 1}, [("127.0.0.1", 25)]]
)
def test_the_tests_refuse_a_line_with_the_repr_of_an_object(value: object) -> None:
    setup_test_logging()
    with pytest.raises(TypeError, match="would show verdict="):
        structlog.get_logger().debug("tried", verdict=value)


def test_a_hidden_line_costs_almost_nothing() -> None:
    configured("info")
    log = structlog.get_logger().bind(component="sender")
    allocated = sys.getallocatedblocks()
    for _ in range(1000):
        log.debug("sent", to="a@example.com")
    assert sys.getallocatedblocks() - allocated < 100


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ValueError("a\n b"), "ValueError: a b"),
        (TimeoutError(), "TimeoutError"),
        (ExceptionGroup("g", [ExceptionGroup("h", [OSError("x")]), KeyError("y")]), "OSError: x (and 1 more)"),
    ],
)
def test_describe_makes_one_line_of_an_error(error: BaseException, expected: str) -> None:
    assert describe(error) == expected
