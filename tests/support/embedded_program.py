"""A small program around the two embedded servers, run as a separate process so that a test can kill it.

    python -m tests.support.embedded_program <data_dir>

Out: one line of JSON with the URLs when both are ready; operator errors as `kannon serve` reports them.
"""

import json
import sys
from pathlib import Path

import anyio
from anyio.abc import TaskStatus

from kannon.embedded import DataDir, EmbeddedNats, EmbeddedPostgres
from kannon.errors import OperatorError
from kannon.log import setup_logging
from kannon.runner.runner import Runner


class Herald:
    """Prints the servers' URLs. It is in the layer above them, so it starts when they are ready."""

    name = "herald"

    def __init__(self, urls: dict[str, str]) -> None:
        self._urls = urls

    async def run(self, stop: anyio.Event, *, task_status: TaskStatus[None]) -> None:
        task_status.started()
        print(json.dumps(self._urls), flush=True)
        await stop.wait()


async def main(data_dir: DataDir) -> None:
    postgres, nats = EmbeddedPostgres(data_dir.path), EmbeddedNats(data_dir.path)
    herald = Herald({"postgres": postgres.url, "nats": nats.url, "token": data_dir.admin_token()})
    await Runner([[postgres, nats], [herald]]).run()


if __name__ == "__main__":
    setup_logging("info")
    try:
        with DataDir.open(Path(sys.argv[1])) as opened:
            anyio.run(main, opened, backend_options={"use_uvloop": True})
    except OperatorError as error:
        sys.exit(f"kannon: {error}")
