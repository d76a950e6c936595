"""`kannon demo`: runs one mailing from start to statistics on an empty temporary data_dir, and prints each step.

Out: the outcomes of six recipients, the headers of one received mail with its DKIM result, an opened pixel, a clicked
link, the counters; exit code 0 if every step has the expected result, else 1. All servers listen on loopback, and the
command removes its files.
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
from kannon.config import COMPONENTS, Api, Bump, Config, Log, Metrics, Retry, Route, Sender, Smtp, Submission
from kannon.config import Runner as RunnerConfig
from kannon.errors import OperatorError

LIMIT_SECONDS = 60.0
INBOX_HOST = "127.0.0.1"


def demo() -> None:
    """Show one mailing: start, send, deliver, bounce, retry, open, click, count, stop."""
    with operator_errors(), tempfile.TemporaryDirectory(prefix="kannon-demo-") as folder:
        anyio.run(_demo, Path(folder), Console(), backend_options={"use_uvloop": True})


async def _demo(folder: Path, console: Console) -> None:
    """Runs the server and, once it is ready, the walkthrough, in one process."""
    from kannon.app import wire
    from kannon.cli.demo.inbox import Inbox
    from kannon.cli.demo.walkthrough import Walkthrough
    from kannon.embedded import DataDir
    from kannon.log import setup_logging
    from kannon.runner.runner import Runner

    setup_logging("error")
    async with Inbox(INBOX_HOST) as inbox:
        config = demo_config(folder, inbox.port)
        console.print(f"[bold]Starting Kannon[/] on an empty data_dir ({folder}) …")
        with DataDir.open(folder) as data_dir:
            wired = await wire(config, COMPONENTS, data_dir, migrate=True)
            walkthrough = Walkthrough(console, partial(wired.addresses, "api"), data_dir.admin_token(), inbox)
            last = WalkthroughComponent(walkthrough.run)
            runner = Runner([*wired.layers, [last]], stop_seconds=10)
            last.stop_runner = runner.stop
            with anyio.move_on_after(LIMIT_SECONDS) as limit:
                await runner.run()
    if limit.cancelled_caught or last.problem:
        raise OperatorError(f"the demo failed: {last.problem or f'it took longer than {LIMIT_SECONDS:.0f} s'}")
    console.print("[bold green]Stopped.[/] Every step had the expected result.")


def demo_config(folder: Path, inbox_port: int) -> Config:
    """Listeners on loopback, one route for all mail to the inbox, and a retry after one second."""
    bump_port = free_port()
    return Config(
        data_dir=folder,
        api=Api(listen="127.0.0.1:0"),
        bump=Bump(listen=f"127.0.0.1:{bump_port}", base_url=f"http://127.0.0.1:{bump_port}"),
        smtp=Smtp(listen="127.0.0.1:0"),
        submission=Submission(listen="127.0.0.1:0"),
        metrics=Metrics(listen=""),
        runner=RunnerConfig(processes=1),
        sender=Sender(routes=[Route(domain="*", host=INBOX_HOST, port=inbox_port, tls="none")]),
        retry=Retry(first=timedelta(seconds=1)),
        log=Log(level="error"),
    )


def free_port() -> int:
    """An unused port. The tracking links contain it before the listener exists."""
    with socket.socket() as probe:
        probe.bind((INBOX_HOST, 0))
        port: int = probe.getsockname()[1]
        return port


class WalkthroughComponent:
    """Runs the walkthrough as the last component: it starts when all others are ready, and its end stops them."""

    name = "demo"

    def __init__(self, steps: Callable[[], Awaitable[None]]) -> None:
        self._steps = steps
        self.problem = ""
        self.stop_runner: Callable[[], None] = lambda: None

    async def run(self, stop: anyio.Event, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        task_status.started()
        try:
            await self._steps()
        except Exception as error:
            self.problem = str(error) or type(error).__name__
        self.stop_runner()
        await stop.wait()
