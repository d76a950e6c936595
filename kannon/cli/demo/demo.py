"""`kannon demo`: the whole way in one go, on an empty temporary data_dir, in front of the reader's eyes.

In: nothing. Out: six recipients' outcomes, one received mail's headers with its DKIM verdict, an opened pixel, a
clicked link, the counters; exit code 0 when all went as it should, 1 otherwise. Everything is on loopback and is gone
afterwards.
"""

import socket
import tempfile
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial
from pathlib import Path

import anyio
from anyio.abc import TaskStatus
from rich.console import Console

from kannon.cli.errors import operator_errors
from kannon.config import COMPONENTS, Api, Bump, Config, Log, Metrics, Retry, Route, Sender, Smtp
from kannon.errors import OperatorError

LIMIT_SECONDS = 60.0
INBOX_HOST = "127.0.0.1"


def demo() -> None:
    """Show the whole way: start, send, deliver, bounce, retry, open, click, count, stop."""
    with operator_errors(), tempfile.TemporaryDirectory(prefix="kannon-demo-") as folder:
        anyio.run(_demo, Path(folder), Console(), backend_options={"use_uvloop": True})


async def _demo(folder: Path, console: Console) -> None:
    """Runs the server and, once all of it is ready, the story on top of it, in one process."""
    from kannon.app import wire
    from kannon.cli.demo.inbox import Inbox
    from kannon.cli.demo.story import Story
    from kannon.embedded import DataDir
    from kannon.log import setup_logging
    from kannon.runner import Runner

    setup_logging("error")
    async with Inbox(INBOX_HOST) as inbox:
        config = demo_config(folder, inbox.port)
        console.print(f"[bold]Starting Kannon[/] on an empty data_dir ({folder}) …")
        with DataDir.open(folder) as data_dir:
            wired = await wire(config, COMPONENTS, data_dir, migrate=True)
            story = Story(console, partial(wired.addresses, "api"), data_dir.admin_token(), inbox)
            play = Play(story.play)
            runner = Runner([*wired.layers, [play]], stop_seconds=10)
            play.stop_runner = runner.stop
            with anyio.move_on_after(LIMIT_SECONDS) as limit:
                await runner.run()
    if limit.cancelled_caught or play.problem:
        raise OperatorError(f"the demo did not go as it should: {play.problem or 'it took too long'}")
    console.print("[bold green]Stopped.[/] All of it went as it should.")


def demo_config(folder: Path, inbox_port: int) -> Config:
    """Everything on loopback, the only way out a route to the inbox, and a retry after one second."""
    bump_port = free_port()
    return Config(
        data_dir=folder,
        api=Api(listen="127.0.0.1:0"),
        bump=Bump(listen=f"127.0.0.1:{bump_port}", base_url=f"http://127.0.0.1:{bump_port}"),
        smtp=Smtp(listen="127.0.0.1:0"),
        metrics=Metrics(listen=""),
        sender=Sender(routes=[Route(domain="*", host=INBOX_HOST, port=inbox_port, tls="none")]),
        retry=Retry(first=timedelta(seconds=1)),
        log=Log(level="error"),
    )


def free_port() -> int:
    """One that nobody listens on now; tracking links are made with it before the listener exists."""
    with socket.socket() as probe:
        probe.bind((INBOX_HOST, 0))
        port: int = probe.getsockname()[1]
        return port


class Play:
    """The story as the last component: it starts when everything is ready, and its end stops the rest."""

    name = "demo"

    def __init__(self, story: Callable[[], Awaitable[None]]) -> None:
        self._story = story
        self.problem = ""
        self.stop_runner: Callable[[], None] = lambda: None

    async def run(self, stop: anyio.Event, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        task_status.started()
        try:
            await self._story()
        except Exception as error:
            self.problem = str(error) or type(error).__name__
        self.stop_runner()
        await stop.wait()
