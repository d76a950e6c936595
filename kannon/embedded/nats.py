"""nats-server with JetStream as a child process: streams in data_dir/nats, one loopback port, a random password.

In: an open data directory. Out: `url`, which holds the password. A stream that met a write error refuses every write
until nats-server is restarted, so `run` ends once there is room on the disk again.
Other users of the machine can reach the port but not the mail: every process generates a new password, and only
conf/nats.conf (0600), written at every start, contains it.
"""

import json
import os
import secrets
import shutil
import signal
import socket
from pathlib import Path
from typing import Final

import anyio
import structlog
from anyio import to_thread

from kannon.embedded import executables
from kannon.embedded.child import Child, ProcessSpec
from kannon.embedded.nats_health import SYSTEM_USER, ask_health
from kannon.embedded.run_as import RunAs, choose_run_as, give_to
from kannon.embedded.server import Server
from kannon.embedded.stale_process import read_pid, stop_stale
from kannon.errors import Unavailable

_HOST: Final = "127.0.0.1"
_USER: Final = "kannon"
_HEALTH_SECONDS: Final = 5.0
_REFUSING_SECONDS: Final = 1.0
_ROOM_BYTES: Final = 32 << 20  # a restart writes the state of the streams anew
_SETTINGS: Final = """\
# Written by Kannon at every start.
listen: {listen}
server_name: kannon
pid_file: {pid_file}
max_payload: 8MB
max_pending: 64MB
authorization {{ users: [ {{ user: {user}, password: {password} }} ] }}
accounts {{ $SYS {{ users: [ {{ user: {system_user}, password: {password} }} ] }} }}
jetstream {{
  store_dir: {store_dir}
  max_memory_store: 256MB
  max_file_store: 64GB
  # A power cut loses no outcome and no event. Streams with persist_mode async are not synced: PostgreSQL can give their
  # messages again.
  sync_interval: {sync_interval}
}}
"""


log = structlog.get_logger()


class EmbeddedNats(Server):
    """The server on `data_dir`. Its port is reserved from construction until `close`."""

    name = "nats"
    title = "nats-server"
    stop_steps = ((signal.SIGTERM, 10.0),)

    def __init__(self, data_dir: Path, *, sync_interval: str = "always") -> None:
        super().__init__(data_dir)
        self._settings = self._conf / "nats.conf"
        self._sync_interval = sync_interval
        self._binary = executables.nats_server(self._data_dir)
        self._password = secrets.token_urlsafe(24)
        # Bound, not listening: the kernel gives the port to no other process; SO_REUSEADDR lets the child listen on it.
        self._reservation = socket.socket()
        self._reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._reservation.bind((_HOST, 0))
        self._port: int = self._reservation.getsockname()[1]

    @property
    def url(self) -> str:
        return f"nats://{_USER}:{self._password}@{_HOST}:{self._port}"

    def close(self) -> None:
        """Releases the port."""
        self._reservation.close()

    async def _prepare(self) -> ProcessSpec:
        run_as = choose_run_as(self._home, (self._binary, self._home, self._settings))
        await to_thread.run_sync(give_to, run_as, self._home)
        self._write_settings(run_as)
        pid = read_pid(self._home / "nats.pid")
        if pid is not None:
            await stop_stale(pid, self._argv(), self.stop_steps)
        return ProcessSpec(self._argv(), self._data_dir, self._log, run_as, signal.SIGTERM)

    async def _answers(self, child: Child) -> bool:
        """The server sends INFO to a client once JetStream has recovered its streams."""
        try:
            async with await anyio.connect_tcp(_HOST, self._port) as stream:
                return (await stream.receive(4096)).startswith(b"INFO ")
        except (OSError, anyio.EndOfStream, anyio.BrokenResourceError):
            return False

    async def _watch(self) -> str:
        """Returns when streams refuse writes and a restart can help: the disk has room."""
        refused = ""
        while True:
            await anyio.sleep(_REFUSING_SECONDS if refused else _HEALTH_SECONDS)
            try:
                problem = await ask_health(_HOST, self._port, self._password)
            except Unavailable as error:
                log.debug("cannot read the health of nats-server", why=str(error))
                continue
            if "write error" not in problem:
                refused = ""
                continue
            if problem != refused:
                log.warning("nats-server refuses writes", why=problem)
                refused = problem
            usage = await to_thread.run_sync(shutil.disk_usage, self._home)
            if usage.free >= _ROOM_BYTES:
                return f"its streams refuse writes and the disk has room: {problem}"

    def _argv(self) -> list[str]:
        return [str(self._binary), "-c", str(self._settings)]

    def _write_settings(self, run_as: RunAs | None) -> None:
        text = _SETTINGS.format(
            listen=_quote(f"{_HOST}:{self._port}"),
            pid_file=_quote(str(self._home / "nats.pid")),
            store_dir=_quote(str(self._home)),
            user=_USER,
            system_user=SYSTEM_USER,
            password=_quote(self._password),
            sync_interval=_quote(self._sync_interval),
        )
        self._settings.unlink(missing_ok=True)
        handle = os.open(self._settings, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w") as file:
            file.write(text)
            if run_as is not None:
                os.fchown(file.fileno(), run_as.uid, run_as.gid)


def _quote(text: str) -> str:
    """A string of nats-server's configuration: as in JSON, but without \\u escapes, which it does not support."""
    return json.dumps(text, ensure_ascii=False)
