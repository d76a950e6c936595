"""`kannon stats --watch`: a screen at a terminal, a line per event into a pipe."""

import json
import os
import pty
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import anyio
import pytest
from anyio.abc import Process

from kannon.db.pool import Database
from kannon.db.stats_write import ensure_partitions, insert_events, week_of
from kannon.mail.event import Event, EventType
from tests.support.api import TOKEN, RunningApi, running_api
from tests.support.command import ROOT
from tests.support.patience import patience


@pytest.fixture
async def api(db: Database) -> AsyncIterator[RunningApi]:
    async with running_api(db) as api:
        await api.create_domain("example.com")
        yield api


async def happen(db: Database, name: str, kind: EventType) -> None:
    now = datetime.now(UTC)
    await ensure_partitions(db, {week_of(now)})
    await insert_events(db, [Event(name, kind, "example.com", "m", f"{name}@x.org", now)])


@asynccontextmanager
async def watching(api: RunningApi, folder: Path, *options: str, stdout: int) -> AsyncIterator[Process]:
    """Ends the command with Ctrl-C, as its user does."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("KANNON_")}
    env |= {"KANNON_SERVER": f"{api.host}:{api.port}", "KANNON_TOKEN": TOKEN, "PYTHONPATH": str(ROOT)}
    env |= {"COLUMNS": "200", "LINES": "50", "TERM": "xterm"}
    # A shell starts background jobs with SIGINT ignored, and the tests may be one.
    command = ["env", "--default-signal=INT", sys.executable, "-m", "kannon", "stats", "--watch", *options]
    with patience():
        async with await anyio.open_process(command, stdout=stdout, stderr=None, cwd=folder, env=env) as process:
            try:
                yield process
            finally:
                process.send_signal(signal.SIGINT)
                code = await process.wait()
    assert code == 130


async def test_watch_updates_the_screen_of_a_terminal(api: RunningApi, db: Database, tmp_path: Path) -> None:
    await happen(db, "first", EventType.DELIVERED)
    ours, theirs = pty.openpty()
    seen = b""
    try:
        async with watching(api, tmp_path, stdout=theirs):
            for expected in (b"first@x.org", b"second@x.org"):
                while expected not in seen:
                    await anyio.wait_readable(ours)
                    seen += os.read(ours, 65536)
                if expected.startswith(b"first"):
                    assert "█".encode() in seen
                    await happen(db, "second", EventType.BOUNCED)
        assert b"bounced" in seen
    finally:
        os.close(ours)
        os.close(theirs)


async def test_watch_prints_one_line_per_event_into_a_pipe(api: RunningApi, db: Database, tmp_path: Path) -> None:
    ours, theirs = os.pipe()
    try:
        async with watching(api, tmp_path, "--json", stdout=theirs):
            seen = b""
            number = 0
            while b"\n" not in seen:
                with anyio.move_on_after(0.2):
                    await anyio.wait_readable(ours)
                    seen += os.read(ours, 65536)
                    continue
                number += 1  # it shows only events after its start, and does not report that it has started
                await happen(db, f"e{number}", EventType.DELIVERED)
        assert json.loads(seen.splitlines()[0])["type"] == "delivered"
    finally:
        os.close(ours)
        os.close(theirs)
