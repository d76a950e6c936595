"""nats-server with JetStream as a child process: streams in data_dir/nats, one loopback port, a password of its own.

In: an open data directory. Out: `url`, fixed for the object's life; `run` for the runner, `start`/`wait`/`stop` for anyone else.
Other users of the machine can reach the port but not the mail: the password is new in every process and stands only in a 0600 file.
"""

import json
import os
import secrets
import signal
import socket
from pathlib import Path
from typing import Final

import anyio
from anyio.abc import TaskStatus

from kannon.embedded import binaries, logfile
from kannon.embedded.account import choose_account, give_to
from kannon.embedded.child import Child, Plan, spawn
from kannon.embedded.leftover import read_pid, stop_leftover
from kannon.errors import OperatorError, Unavailable

_HOST: Final = "127.0.0.1"
_USER: Final = "kannon"
_START_SECONDS: Final = 60.0
"""Recovering large streams reads their files once."""
_POLL_SECONDS: Final = 0.01
_STOP: Final = ((signal.SIGTERM, 10.0),)

_SETTINGS: Final = """\
# Written by Kannon at every start.
listen: {listen}
server_name: kannon
pid_file: {pid_file}
max_payload: 8MB
max_pending: 64MB
authorization {{ user: {user}, password: {password} }}
jetstream {{
  store_dir: {store_dir}
  max_memory_store: 256MB
  max_file_store: 64GB
  # What a power cut may cost; a crash of the process costs nothing. Delay only: PostgreSQL is the source of truth,
  # and a delivery whose envelope or outcome is gone is claimed again.
  sync_interval: {sync_interval}
}}
"""


class EmbeddedNats:
    """The server on `data_dir`. The caller holds the directory's lock (DataDir)."""

    name = "nats"

    def __init__(self, data_dir: Path, *, sync_interval: str = "1s") -> None:
        self._data_dir = data_dir.resolve()
        self._home = self._data_dir / "nats"
        self._settings = self._data_dir / "conf" / "nats.conf"
        self._log = self._data_dir / "logs" / "nats.log"
        self._sync_interval = sync_interval
        self._binary = binaries.nats_server()
        self._password = secrets.token_urlsafe(24)
        # Bound, never listening: the kernel gives the port to no one else, and SO_REUSEADDR lets the child listen on it.
        self._reservation = socket.socket()
        self._reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._reservation.bind((_HOST, 0))
        self._port: int = self._reservation.getsockname()[1]
        self._child: Child | None = None

    @property
    def url(self) -> str:
        """The same for the object's whole life, before the first start and over restarts. Holds the password."""
        return f"nats://{_USER}:{self._password}@{_HOST}:{self._port}"

    async def run(self, stop: anyio.Event, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Starts, serves until `stop`, stops. Raises Unavailable when the server dies."""
        await self.start()
        try:
            task_status.started()
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._fail_on_death)
                await stop.wait()
                tasks.cancel_scope.cancel()
        finally:
            await self.stop()

    async def start(self) -> None:
        """Returns when the server greets. Stops what an earlier run left on the same data.

        Raises OperatorError for the operator's faults, Unavailable if it does not come up.
        """
        try:
            account = choose_account(self._home, (self._binary, self._home))
            self._log.parent.mkdir(mode=0o700, exist_ok=True)
            give_to(account, self._home)
            self._write_settings(account.uid if account else -1, account.gid if account else -1)
            pid = read_pid(self._home / "nats.pid")
            if pid is not None:
                await stop_leftover(pid, self._argv(), _STOP)
            start = logfile.begin(self._log)
        except OSError as error:
            raise OperatorError(f"{self._home} cannot be used: {error.strerror}") from None
        self._child = spawn(Plan(self._argv(), self._data_dir, self._log, account, signal.SIGTERM))
        try:
            await self._until_ready(self._child, start)
        except BaseException:
            await self.stop()
            raise

    async def wait(self) -> int:
        """Returns the exit code when the server has ended."""
        if self._child is None:
            raise Unavailable("nats-server is not running")
        return await self._child.wait()

    async def stop(self) -> None:
        """Stops the server within 15 s, whatever it takes; nothing to do if it does not run."""
        if self._child is not None:
            await self._child.stop(_STOP)
            self._child = None

    def close(self) -> None:
        """Gives the port back."""
        self._reservation.close()

    async def _fail_on_death(self) -> None:
        code = await self.wait()
        raise Unavailable(f"nats-server ended unexpectedly (exit code {code}): see {self._log}")

    def _argv(self) -> list[str]:
        return [str(self._binary), "-c", str(self._settings)]

    def _write_settings(self, uid: int, gid: int) -> None:
        self._settings.parent.mkdir(mode=0o711, exist_ok=True)
        text = _SETTINGS.format(
            listen=json.dumps(f"{_HOST}:{self._port}"),
            pid_file=json.dumps(str(self._home / "nats.pid")),
            store_dir=json.dumps(str(self._home)),
            user=_USER,
            password=json.dumps(self._password),
            sync_interval=json.dumps(self._sync_interval),
        )
        self._settings.unlink(missing_ok=True)
        handle = os.open(self._settings, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w") as file:
            file.write(text)
            os.fchown(file.fileno(), uid, gid)

    async def _until_ready(self, child: Child, start: int) -> None:
        with anyio.move_on_after(_START_SECONDS):
            while not await self._greets():
                if child.ended():
                    problem = logfile.last_problem(self._log, start) or "it ended at once"
                    raise Unavailable(f"nats-server does not start: {problem}")
                await anyio.sleep(_POLL_SECONDS)
            return
        raise Unavailable(f"nats-server is not ready after {_START_SECONDS:.0f} s: see {self._log}")

    async def _greets(self) -> bool:
        """A server speaks first, and only once JetStream has recovered its streams."""
        try:
            async with await anyio.connect_tcp(_HOST, self._port) as stream:
                return (await stream.receive(4096)).startswith(b"INFO ")
        except (OSError, anyio.EndOfStream, anyio.BrokenResourceError):
            return False
