"""PostgreSQL as a child process: data in data_dir/postgres, a private unix socket in it, no TCP.

In: an open data directory. Out: `url`, `backups`. Data of an older major version is brought over (cluster.py); that of
a newer one, and data that is not Kannon's, is refused (OperatorError) and left alone.
Durable: fsync and synchronous_commit are on unless a test says otherwise.
Only the owner of the socket's directory (0700) and root can reach the server, so it asks for no password.
conf/postgresql.conf is written at every start; an operator's own settings go into conf/local.conf, which wins.
"""

import os
import pwd
import shutil
import signal
from dataclasses import replace
from pathlib import Path
from typing import Final
from urllib.parse import quote

from anyio import to_thread

from kannon.embedded import executables, logfile
from kannon.embedded.backup import Backups
from kannon.embedded.child import Child, Plan, spawn
from kannon.embedded.data_dir import hand_over, sync_directory
from kannon.embedded.run_as import RunAs, choose_run_as, give_to
from kannon.embedded.server import Server
from kannon.embedded.stale_process import read_pid, stop_stale
from kannon.embedded.upgrade import Cluster, bring_over, data_major, is_ready, program_major
from kannon.errors import OperatorError

_ROLE: Final = "kannon"
_SOCKET: Final = ".s.PGSQL.5432"
_SUN_PATH_MAX: Final = 107  # unix(7): sun_path has 108 bytes, the last of them NUL

_CONNECTIONS: Final = 100  # PostgreSQL's own default
_OTHER_CONNECTIONS: Final = 20
_FRESH_BYTES: Final = 128 << 20  # a cluster as initdb makes it, and its first WAL

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
max_logical_replication_workers = 0
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


def connections_for(pool_size: int) -> int:
    """Room for two pools of that size, and beside them for backups, restores and whoever looks in with psql."""
    return max(_CONNECTIONS, 2 * pool_size + _OTHER_CONNECTIONS)


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
            # Too long for a socket address; the kernel follows our own handle on the directory instead.
            folder = f"/proc/{os.getpid()}/fd/{self._data_dir_fd}/postgres"
        return f"postgresql://{_ROLE}@/{_ROLE}?host={quote(folder, safe='/')}"

    @property
    def backups(self) -> Backups:
        """Of this server, while it answers."""
        return Backups(self._data_dir, self._bin)

    async def _prepare(self) -> Plan:
        self._refuse_foreign_data()
        # Settings lie outside the directory that the account owns: root writes nothing where others may plant links.
        account = choose_run_as(self._home, (self._bin / "postgres", self._home, self._settings))
        durable = "on" if self._durable else "off"
        self._settings.write_text(_SETTINGS.format(durable=durable, max_connections=self._max_connections))
        self._settings.chmod(0o644)
        hand_over(self._settings)
        if not self._home.exists():
            await self._make(self._home, account)
        await to_thread.run_sync(give_to, account, self._home)
        await self._stop_leftover()
        await self._bring_over(account)
        return self._plan(self._argv(), account)

    async def _answers(self, child: Child) -> bool:
        return is_ready(self._home, child.pid)

    def _argv(self) -> list[str]:
        return [str(self._bin / "postgres"), "-D", str(self._home), "-c", f"config_file={self._settings}"]

    def _plan(self, argv: list[str], account: RunAs | None, stdin: bytes = b"") -> Plan:
        return Plan(argv, self._data_dir, self._log, account, signal.SIGQUIT, stdin)

    async def _stop_leftover(self) -> None:
        file = self._home / "postmaster.pid"
        pid = read_pid(file)
        if pid is None:
            return
        await stop_stale(pid, self._argv(), self.stop_steps)
        if _works_in(pid, self._home):
            raise OperatorError(f"{self._home} is in use by a PostgreSQL that is not Kannon's (pid {pid})")
        if Path(f"/proc/{pid}").exists():
            # The pid is somebody else's by now (they repeat in containers); PostgreSQL would refuse to start.
            file.unlink(missing_ok=True)

    async def _make(self, place: Path, account: RunAs | None) -> None:
        """A cluster and its database, made beside `place` and moved there complete and on disk."""
        # Asked first: what PostgreSQL would say about a full disk it could not write into its log.
        free = shutil.disk_usage(self._data_dir).free
        if free < _FRESH_BYTES:
            raise OperatorError(
                f"{place} cannot be made: No space left on device (a new database needs {_FRESH_BYTES >> 20} MiB, "
                f"{free >> 20} MiB are free)"
            )
        if not os.access("/bin/sh", os.X_OK):
            raise OperatorError(f"{place} cannot be made: PostgreSQL's initdb needs a shell, and there is no /bin/sh")
        fresh = self._data_dir / "postgres.new"
        if fresh.exists():
            await to_thread.run_sync(shutil.rmtree, fresh)
        give_to(account, fresh)
        initdb = [str(self._bin / "initdb"), "-D", str(fresh)]
        await self._run_once(self._plan([*initdb, *_INITDB], account))
        single = [str(self._bin / "postgres"), "--single", "-D", str(fresh), "-c", "log_checkpoints=off", "postgres"]
        await self._run_once(self._plan(single, account, f"CREATE DATABASE {_ROLE}\n".encode()))
        await self._run_once(self._plan([*initdb, "--sync-only"], account))
        fresh.rename(place)
        sync_directory(self._data_dir)

    async def _run_once(self, plan: Plan) -> None:
        start = logfile.begin(self._log)
        child = spawn(replace(plan, preload=None if _have_name() else executables.account_name(self._bin)))
        try:
            failed = await child.wait() != 0
        finally:
            await child.stop(())
        if failed:
            problem = logfile.last_problem(self._log, start) or child.describe_end()
            raise OperatorError(f"{self._home} cannot be initialised: {problem}")

    async def _bring_over(self, account: RunAs | None) -> None:
        """Data of an older major version becomes ours, by dump and restore."""
        major, ours = data_major(self._home), await to_thread.run_sync(program_major, self._bin)
        if major == ours:
            return
        brought = f"{self._home} holds data of PostgreSQL {major}, this Kannon brings PostgreSQL {ours}"
        if major > ours:
            raise OperatorError(f"{brought}: install a newer Kannon")
        older = await to_thread.run_sync(executables.older_postgres_bin, self._data_dir, major)
        if older is None:
            raise OperatorError(
                f"{brought}, and the programs of PostgreSQL {major} are not in {self._data_dir}/runtime: "
                f"write a backup with the Kannon that was used so far (kannon backup FILE), move {self._home} away, "
                "and run kannon restore FILE with this one"
            )
        fresh = self._data_dir / f"postgres.{ours}"
        if fresh.exists():
            await to_thread.run_sync(shutil.rmtree, fresh)
        await self._make(fresh, account)
        old, new = (self._home, older), (fresh, self._bin)
        clusters = [Cluster(home, programs, self._log, account) for home, programs in (old, new)]
        await bring_over(*clusters, keep_as=self._data_dir / f"postgres.{major}")

    def _refuse_foreign_data(self) -> None:
        """Before anything is written. Kannon's settings lie beside its data from its first start on."""
        if self._home.exists():
            data_major(self._home)
            if not self._settings.exists():
                raise OperatorError(
                    f"{self._home} holds PostgreSQL data that is not Kannon's ({self._settings} is missing): "
                    "move it away, or choose another data_dir"
                )


def _have_name() -> bool:
    """initdb refuses a user without one: a container may run under any user id."""
    try:
        pwd.getpwuid(os.geteuid())
    except KeyError:
        return False
    return True


def _works_in(pid: int, home: Path) -> bool:
    """A PostgreSQL server's working directory is its data directory."""
    try:
        return Path(f"/proc/{pid}/cwd").readlink() == home
    except OSError:
        return False
