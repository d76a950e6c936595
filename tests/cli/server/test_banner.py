"""The start banner: text at a console, one event in a JSON log."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import anyio
import pytest

from kannon.app import Wired
from kannon.cli.server.banner import Banner
from kannon.config import Config, Log
from kannon.log import setup_logging
from tests.support.logs import setup_test_logging


class Listening:
    name = "api"
    addresses = (("127.0.0.1", 50051), ("::1", 50051))

    async def run(self, stop: anyio.Event, *, task_status: object) -> None: ...


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    yield
    setup_test_logging()


async def show(form: Literal["console", "json"]) -> str:
    """Returns the log after the banner."""
    out = io.StringIO()
    setup_logging("info", form, out)
    stop = anyio.Event()
    stop.set()
    wired = Wired([], {"api": Listening()}, None)
    await Banner(Config(log=Log(format=form)), Path("/data"), wired).run(stop)
    return out.getvalue()


async def test_the_banner_is_text_at_a_console(capsys: pytest.CaptureFixture[str]) -> None:
    assert await show("console") == ""
    shown = capsys.readouterr().err
    assert shown.startswith("Kannon is ready: api.\n")
    assert "\n  API (gRPC, HTTP) on 127.0.0.1:50051, [::1]:50051\n" in shown


async def test_the_banner_is_an_event_in_a_json_log(capsys: pytest.CaptureFixture[str]) -> None:
    event = json.loads(await show("json"))
    assert capsys.readouterr().err == ""
    assert event["event"] == "Kannon is ready"
    assert event["components"] == ["api"]
    assert event["api"] == ["127.0.0.1:50051", "[::1]:50051"]
    assert (event["postgres"], event["data_dir"]) == ("embedded", "/data")
