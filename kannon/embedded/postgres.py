"""PostgreSQL as a child process: data in data_dir/postgres, a private unix socket in it, no TCP.

In: an open data directory. Out: `url`, `backups`. Data of an older major version is upgraded (upgrade.py); for data of
a newer one, or that is not Kannon's, it raises OperatorError and changes nothing. Durable: fsync and synchronous_commit
are on unless a test turns them off. Only the owner of the socket's directory (0700) and root can reach the server, so
it needs no password. Every start writes conf/postgresql.conf; an operator's own settings in conf/local.conf override
it.
"""

import os
import pwd
import secrets
import shutil
import signal
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final
from urllib.parse import quote

import structlog
from anyio import to_thread

from kannon.embedded import executables, logfile
from kannon.embedded.backup import Backups
from kannon.embedded.child import Child, ProcessSpec, spawn
from kannon.embedded.data_dir import hand_over, sync_directory
from kannon.embedded.run_as import RunAs, choose_run_as, give_to
from kannon.embedded.server import Server
from kannon.embedded.stale_process import read_pid, stop_stale
from kannon.embedded.upgrade import Cluster, data_major, is_ready, program_major, upgrade
from kannon.errors import OperatorError

log = structlog.get_logger()

_ROLE: Final = "kannon"
_SOCKET: Final = ".s.PGSQL.5432"
_SUN_PATH_MAX: Final = 107  # unix(7): sun_path has 108 bytes, the last of them NUL

_CONNECTIONS: Final = 100  # PostgreSQL's own default
_OTHER_CONNECTIONS: Final = 20
_FRESH_BYTES: Final = 128 << 20  # a new cluster, and its first WAL

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
io_method = sync                  # no processes for reads that the kernel's cache answers
# No replicas: the least WAL that survives a crash.
wal_level = minimal
max_wal_senders = 0
max_logical_replication_workers = 0
fsync = {durable}
synchronous_commit = {durable}
full_page_writes = {durable}
wal_compression = on
max_wal_size = '1GB'
min_wal_size = '128MB'
checkpoint_timeout = '15min'
# sending_pool_emails is a queue: rows live for seconds, so autovacuum runs early and without delays.
autovacuum_naptime = '10s'
autovacuum_vacuum_scale_factor = 0.05
autovacuum_vacuum_insert_scale_factor = 0.1
autovacuum_analyze_scale_factor = 0.05
autovacuum_vacuum_cost_delay = 0
# The open transaction of a client that froze releases its locks.
idle_in_transaction_session_timeout = '60s'
log_min_messages = warning
log_checkpoints = off
log_autovacuum_min_duration = -1
log_line_prefix = '%m [%p] '
include_if_exists 'local.conf'
"""


def connections_for(kannon: int) -> int:
    """Enough for two servers that open that many each, and for backups, restores and an operator's psql."""
    return max(_CONNECTIONS, 2 * kannon + _OTHER_CONNECTIONS)


class EmbeddedPostgres(Server):
    """The server on `data_dir`."""

    name = "postgres"
    title = "PostgreSQL"
    # Fast shutdown (clients are cut, a checkpoint is written), then immediate (recovery at the next start).
    stop_steps = ((signal.SIGINT, 10.0), (signal.SIGQUIT, 5.0))

    def __init__(self, data_dir: Path, *, durable: bool = True, max_connections: int = _CONNECTIONS) -> None:
        super().__init__(data_dir)
        self._settings = self._conf / "postgresql.conf"
        self._durable = durable
        self._max_connections = max_connections
        self._bin = executables.postgres_bin(self._data_dir)
        self._data_dir_fd: int | None = None

    @property
    def url(self) -> str:
        folder = str(self._home)
        if len(os.fsencode(f"{folder}/{_SOCKET}")) > _SUN_PATH_MAX:
            if self._data_dir_fd is None:
                self._data_dir_fd = os.open(self._data_dir, os.O_PATH | os.O_DIRECTORY)
            # Too long for a socket address: a path by the open directory's descriptor instead.
            folder = f"/proc/{os.getpid()}/fd/{self._data_dir_fd}/postgres"
        return f"postgresql://{_ROLE}@/{_ROLE}?host={quote(folder, safe='/')}"

    @property
    def backups(self) -> Backups:
        """Of this server, while it answers."""
        return Backups(self._data_dir, self._bin)

    async def _prepare(self) -> ProcessSpec:
        self._refuse_foreign_data()
        # Settings are outside the directory that the child's user owns: root writes nothing where others may create
        # links.
        run_as = choose_run_as(self._home, (self._bin / "postgres", self._home, self._settings))
        durable = "on" if self._durable else "off"
        self._settings.write_text(_SETTINGS.format(durable=durable, max_connections=self._max_connections))
        self._settings.chmod(0o644)
        hand_over(self._settings)
        if not self._home.exists():
            await self._create_cluster(self._home, run_as)
        await to_thread.run_sync(give_to, run_as, self._home)
        await self._stop_stale_process()
        await self._upgrade(run_as)
        return self._spec(self._argv(), run_as)

    async def _answers(self, child: Child) -> bool:
        return is_ready(self._home, child.pid)

    def _argv(self) -> list[str]:
        return [str(self._bin / "postgres"), "-D", str(self._home), "-c", f"config_file={self._settings}"]

    def _spec(self, argv: list[str], run_as: RunAs | None, stdin: bytes = b"") -> ProcessSpec:
        return ProcessSpec(argv, self._data_dir, self._log, run_as, signal.SIGQUIT, stdin)

    async def _stop_stale_process(self) -> None:
        file = self._home / "postmaster.pid"
        pid = read_pid(file)
        if pid is None:
            return
        await stop_stale(pid, self._argv(), self.stop_steps)
        if _runs_in(pid, self._home):
            raise OperatorError(f"{self._home} is in use by a PostgreSQL that is not Kannon's (pid {pid})")
        if Path(f"/proc/{pid}").exists():
            # Another process has this pid now, as happens in containers; PostgreSQL would not start.
            file.unlink(missing_ok=True)

    async def _create_cluster(self, place: Path, run_as: RunAs | None) -> None:
        """A new cluster with its database, created beside `place` and renamed to it once it is on disk."""
        # Checked first: on a full disk PostgreSQL could not write the reason into its log.
        free = shutil.disk_usage(self._data_dir).free
        if free < _FRESH_BYTES:
            raise OperatorError(
                f"{place} cannot be made: No space left on device (a new database needs {_FRESH_BYTES >> 20} MiB, "
                f"{free >> 20} MiB are free)"
            )
        if not os.access("/bin/sh", os.X_OK):
            raise OperatorError(f"{place} cannot be made: PostgreSQL's initdb needs a shell, and there is no /bin/sh")
        # A name of its own: when Kannon is killed, its initdb still deletes its own folder, beside the next start's.
        for left_over in self._data_dir.glob("postgres.new*"):
            await to_thread.run_sync(partial(shutil.rmtree, left_over, ignore_errors=True))
        fresh = self._data_dir / f"postgres.new-{secrets.token_hex(4)}"
        give_to(run_as, fresh)
        log.info("first start: creating the PostgreSQL cluster; this takes some seconds", folder=str(place))
        initdb = [str(self._bin / "initdb"), "-D", str(fresh)]
        await self._run_once(self._spec([*initdb, *_INITDB], run_as))
        single = [str(self._bin / "postgres"), "--single", "-D", str(fresh), "-c", "log_checkpoints=off", "postgres"]
        await self._run_once(self._spec(single, run_as, f"CREATE DATABASE {_ROLE}\n".encode()))
        await self._run_once(self._spec([*initdb, "--sync-only"], run_as))
        fresh.rename(place)
        sync_directory(self._data_dir)

    async def _run_once(self, spec: ProcessSpec) -> None:
        start = logfile.begin(self._log)
        child = spawn(replace(spec, preload=None if _have_name() else executables.account_name(self._bin)))
        try:
            failed = await child.wait() != 0
        finally:
            await child.stop(())
        if failed:
            problem = logfile.last_problem(self._log, start) or child.describe_end()
            raise OperatorError(f"{self._home} cannot be initialised: {problem}")

    async def _upgrade(self, run_as: RunAs | None) -> None:
        """Upgrades data of an older major version, by backup and restore."""
        major, ours = data_major(self._home), await to_thread.run_sync(program_major, self._bin)
        if major == ours:
            return
        found = f"{self._home} holds data of PostgreSQL {major}, this Kannon contains PostgreSQL {ours}"
        if major > ours:
            raise OperatorError(f"{found}: install a newer Kannon")
        older = await to_thread.run_sync(executables.older_postgres_bin, self._data_dir, major)
        if older is None:
            raise OperatorError(
                f"{found}, and the programs of PostgreSQL {major} are not in {self._data_dir}/runtime: "
                f"write a backup with the Kannon version used before (kannon backup FILE), move {self._home} away, "
                "and run kannon restore FILE with this one"
            )
        fresh = self._data_dir / f"postgres.{ours}"
        if fresh.exists():
            await to_thread.run_sync(shutil.rmtree, fresh)
        await self._create_cluster(fresh, run_as)
        old, new = (self._home, older), (fresh, self._bin)
        clusters = [Cluster(home, programs, self._log, run_as) for home, programs in (old, new)]
        await upgrade(*clusters, old_home=self._data_dir / f"postgres.{major}")

    def _refuse_foreign_data(self) -> None:
        """Before any write. Kannon's settings exist beside its data from its first start on."""
        if self._home.exists():
            data_major(self._home)
            if not self._settings.exists():
                raise OperatorError(
                    f"{self._home} holds PostgreSQL data that is not Kannon's ({self._settings} is missing): "
                    "move it away, or choose another data_dir"
                )


def _have_name() -> bool:
    """initdb does not run for a user id without a name, as a container may have."""
    try:
        pwd.getpwuid(os.geteuid())
    except KeyError:
        return False
    return True


def _runs_in(pid: int, home: Path) -> bool:
    """A PostgreSQL server's working directory is its data directory."""
    try:
        return Path(f"/proc/{pid}/cwd").readlink() == home
    except OSError:
        return False
