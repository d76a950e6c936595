"""PostgreSQL as a child process: data in data_dir/postgres, a private unix socket in it, no TCP.

In: an open data directory. Out: `url`, valid once started; `run` for the runner, `start`/`wait`/`stop` for anyone else.
Refuses (OperatorError) data of another major version. Durable: fsync and synchronous_commit are on unless a test says otherwise.
Only the owner of the socket's directory (0700) can reach the server, so it asks for no password.
conf/postgresql.conf is written at every start; an operator's own settings go into conf/local.conf, which wins.
"""

import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Final
from urllib.parse import quote

import anyio
from anyio.abc import TaskStatus

from kannon.embedded import binaries, logfile
from kannon.embedded.account import Account, choose_account, give_to
from kannon.embedded.child import Child, Plan, spawn
from kannon.embedded.data_dir import sync_directory
from kannon.embedded.leftover import read_pid, stop_leftover
from kannon.errors import OperatorError, Unavailable

_ROLE: Final = "kannon"
_START_SECONDS: Final = 60.0
"""Recovery after a crash replays at most max_wal_size of WAL."""
_POLL_SECONDS: Final = 0.01
_SOCKET: Final = ".s.PGSQL.5432"
_SUN_PATH_MAX: Final = 107  # unix(7): sun_path has 108 bytes, the last of them NUL

# Fast shutdown (clients are cut, a checkpoint is written), then immediate (recovery at the next start).
_STOP: Final = ((signal.SIGINT, 10.0), (signal.SIGQUIT, 5.0))

_INITDB: Final = (
    *("-U", _ROLE, "-A", "trust", "-E", "UTF8", "--locale-provider=builtin", "--locale=C", "--builtin-locale=C.UTF-8"),
    *("--no-sync", "--no-instructions"),
)

_SETTINGS: Final = """\
# Written by Kannon at every start. Your own settings go into local.conf beside this file.
listen_addresses = ''
unix_socket_directories = '.'
unix_socket_permissions = 0700
max_connections = {max_connections}
superuser_reserved_connections = 0
reserved_connections = 0
timezone = 'UTC'
log_timezone = 'UTC'
# A small machine: the page cache of the system holds the rest.
shared_buffers = '128MB'
work_mem = '8MB'
maintenance_work_mem = '64MB'
effective_cache_size = '512MB'
huge_pages = off
jit = off
random_page_cost = 1.1
max_worker_processes = 4
max_parallel_workers_per_gather = 0
# No replicas: the least WAL that survives a crash.
wal_level = minimal
max_wal_senders = 0
fsync = {durable}
synchronous_commit = {durable}
full_page_writes = {durable}
wal_compression = on
max_wal_size = '1GB'
min_wal_size = '128MB'
checkpoint_timeout = '15min'
# The pool is a queue: rows live for seconds, so dead ones are swept early and without pauses.
autovacuum_naptime = '10s'
autovacuum_vacuum_scale_factor = 0.05
autovacuum_vacuum_insert_scale_factor = 0.1
autovacuum_analyze_scale_factor = 0.05
autovacuum_vacuum_cost_delay = 0
# Who died without a word leaves no open transaction behind to hold rows.
idle_in_transaction_session_timeout = '60s'
log_min_messages = warning
log_checkpoints = off
log_autovacuum_min_duration = -1
log_line_prefix = '%m [%p] '
include_if_exists 'local.conf'
"""


class EmbeddedPostgres:
    """The server on `data_dir`. The caller holds the directory's lock (DataDir)."""

    name = "postgres"

    def __init__(self, data_dir: Path, *, durable: bool = True, max_connections: int = 100) -> None:
        self._data_dir = data_dir.resolve()
        self._home = self._data_dir / "postgres"
        self._settings = self._data_dir / "conf" / "postgresql.conf"
        self._log = self._data_dir / "logs" / "postgres.log"
        self._durable = durable
        self._max_connections = max_connections
        self._bin = binaries.postgres_bin()
        self._child: Child | None = None
        self._data_dir_fd: int | None = None

    @property
    def url(self) -> str:
        """The same for the object's whole life, before the first start and over restarts."""
        folder = str(self._home)
        if len(os.fsencode(f"{folder}/{_SOCKET}")) > _SUN_PATH_MAX:
            if self._data_dir_fd is None:
                self._data_dir_fd = os.open(self._data_dir, os.O_PATH | os.O_DIRECTORY)
            # Too long for a socket address; the kernel follows our own handle on the directory instead.
            folder = f"/proc/{os.getpid()}/fd/{self._data_dir_fd}/postgres"
        return f"postgresql://{_ROLE}@/{_ROLE}?host={quote(folder, safe='/')}"

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
        """Returns when the server answers. Initialises an empty directory; stops what an earlier run left on it.

        Raises OperatorError for the operator's faults, Unavailable if it does not come up.
        """
        try:
            account = self._prepare()
            if not self._home.exists():
                await self._initialise(account)
            give_to(account, self._home)
            self._check_version()
            await self._stop_leftover()
            start = logfile.begin(self._log)
        except OSError as error:
            raise OperatorError(f"{self._home} cannot be used: {error.strerror}") from None
        self._child = spawn(self._plan(self._argv(), account))
        try:
            await self._until_ready(self._child, start)
        except BaseException:
            await self.stop()
            raise

    async def wait(self) -> int:
        """Returns the exit code when the server has ended."""
        if self._child is None:
            raise Unavailable("PostgreSQL is not running")
        return await self._child.wait()

    async def stop(self) -> None:
        """Stops the server within 20 s, whatever it takes; nothing to do if it does not run."""
        if self._child is not None:
            await self._child.stop(_STOP)
            self._child = None

    async def _fail_on_death(self) -> None:
        code = await self.wait()
        raise Unavailable(f"PostgreSQL ended unexpectedly ({_describe_exit(code)}): see {self._log}")

    def _argv(self) -> list[str]:
        return [str(self._bin / "postgres"), "-D", str(self._home), "-c", f"config_file={self._settings}"]

    def _plan(self, argv: list[str], account: Account | None, stdin: bytes = b"") -> Plan:
        return Plan(argv, self._data_dir, self._log, account, signal.SIGQUIT, stdin)

    def _prepare(self) -> Account | None:
        """Chooses the account and writes the settings, outside the directory that the account owns."""
        account = choose_account(self._home, (self._bin / "postgres", self._home))
        self._log.parent.mkdir(mode=0o700, exist_ok=True)
        self._settings.parent.mkdir(mode=0o711, exist_ok=True)
        self._settings.write_text(
            _SETTINGS.format(durable="on" if self._durable else "off", max_connections=self._max_connections)
        )
        self._settings.chmod(0o644)
        return account

    async def _stop_leftover(self) -> None:
        file = self._home / "postmaster.pid"
        pid = read_pid(file)
        if pid is None:
            return
        await stop_leftover(pid, self._argv(), _STOP)
        if Path(f"/proc/{pid}").exists():
            # The pid is somebody else's by now (they repeat in containers); PostgreSQL would refuse to start.
            file.unlink(missing_ok=True)

    async def _initialise(self, account: Account | None) -> None:
        """Makes the cluster and its database beside their place and moves them there complete and on disk."""
        fresh = self._data_dir / "postgres.new"
        if fresh.exists():
            shutil.rmtree(fresh)
        give_to(account, fresh)
        initdb = [str(self._bin / "initdb"), "-D", str(fresh)]
        await self._run_once(self._plan([*initdb, *_INITDB], account))
        single = [str(self._bin / "postgres"), "--single", "-D", str(fresh), "-c", "log_checkpoints=off", "postgres"]
        await self._run_once(self._plan(single, account, f"CREATE DATABASE {_ROLE}\n".encode()))
        await self._run_once(self._plan([*initdb, "--sync-only"], account))
        fresh.rename(self._home)
        sync_directory(self._data_dir)

    async def _run_once(self, plan: Plan) -> None:
        start = logfile.begin(self._log)
        child = spawn(plan)
        try:
            code = await child.wait()
        finally:
            await child.stop(())
        if code != 0:
            problem = logfile.last_problem(self._log, start) or _describe_exit(code)
            raise OperatorError(f"{self._home} cannot be initialised: {problem}")

    def _check_version(self) -> None:
        try:
            found = (self._home / "PG_VERSION").read_text().strip()
        except FileNotFoundError:
            raise OperatorError(
                f"{self._home} is there, but holds no PostgreSQL data (PG_VERSION is missing)"
            ) from None
        command = [self._bin / "postgres", "--version"]
        version = subprocess.run(command, capture_output=True, text=True, check=True, env={}).stdout
        ours = version.split()[-1].split(".")[0]
        if found != ours:
            raise OperatorError(f"{self._home} holds data of PostgreSQL {found}, this Kannon brings PostgreSQL {ours}")

    async def _until_ready(self, child: Child, start: int) -> None:
        """Polls the status line that the server keeps in its pid file, as pg_ctl does."""
        with anyio.move_on_after(_START_SECONDS):
            while not self._ready(child):
                if child.ended():
                    problem = logfile.last_problem(self._log, start) or "it ended at once"
                    raise Unavailable(f"PostgreSQL does not start: {problem}")
                await anyio.sleep(_POLL_SECONDS)
            return
        raise Unavailable(f"PostgreSQL is not ready after {_START_SECONDS:.0f} s: see {self._log}")

    def _ready(self, child: Child) -> bool:
        try:
            lines = (self._home / "postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        # The eighth line, padded: LOCK_FILE_LINE_PM_STATUS in PostgreSQL's miscadmin.h.
        return len(lines) >= 8 and lines[0] == str(child.pid) and lines[7].strip() == "ready"


def _describe_exit(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"
