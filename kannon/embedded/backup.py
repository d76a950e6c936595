"""Backups of the embedded database: pg_dump writes one, pg_restore reads it, both over the server's own socket.

In: a data directory whose server answers, and a file. Out: the file, complete and on disk, or the database from it.
Kannon writes backups by itself before it changes the database: to data_dir/backups, which keeps the last three.
Raises OperatorError for a file that is no backup or is damaged, and for a full disk; an incomplete file never appears.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from signal import SIGKILL
from typing import Final

from kannon.embedded import logfile
from kannon.embedded.child import ProcessSpec, spawn
from kannon.embedded.data_dir import hand_over, sync_directory, write_private
from kannon.embedded.run_as import choose_run_as
from kannon.errors import OperatorError

KEPT: Final = 3
_SUFFIX: Final = ".dump"
_LAST_BACKUP: Final = "last_backup"
# Both tools run in data_dir, so that the path of the socket is short and the user they run as can follow it.
_HERE: Final = "/proc/self/cwd"


@dataclass(frozen=True)
class Backups:
    """`bin` holds pg_dump and pg_restore, of the server's major version or a newer one; `home` its data and socket."""

    data_dir: Path
    bin: Path
    home: str = "postgres"

    async def write(self, file: Path, *, database: str = "kannon") -> None:
        """A consistent copy of the whole database, also while it is in use. Raises OperatorError."""
        fresh = file.with_name(f".{file.name}.new")
        try:
            fresh.unlink(missing_ok=True)
            with _opened(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL) as target:
                await self._run(
                    ["pg_dump", "--format=custom", "--no-owner", "--no-privileges", f"--dbname={self._uri(database)}"],
                    f"{file} cannot be written",
                    target=target,
                )
                os.fsync(target)
            fresh.rename(file)
            sync_directory(file.parent)
        except OSError as error:
            raise OperatorError(f"{file} cannot be written: {error.strerror}") from None
        finally:
            with suppress(OSError):
                fresh.unlink()

    def record(self, at: datetime) -> None:
        """Remembers, for `read_last_backup`, that the operator has a backup of this time. Raises OperatorError."""
        try:
            write_private(self.data_dir / _LAST_BACKUP, f"{at.astimezone(UTC).isoformat(timespec='seconds')}\n")
        except OSError as error:
            raise OperatorError(f"{self.data_dir / _LAST_BACKUP} cannot be written: {error.strerror}") from None

    async def check(self, file: Path) -> None:
        """Reads all of it and discards it. Raises OperatorError."""
        problem = f"{file} is not a backup of Kannon, or is damaged"
        with _opened(file, os.O_RDONLY) as source, _opened(Path(os.devnull), os.O_WRONLY) as target:
            await self._run(["pg_restore", "--file=-"], problem, source=source, target=target)

    async def read(self, file: Path, *, database: str) -> None:
        """Into an empty database, in one transaction. Raises OperatorError."""
        arguments = ("--no-owner", "--no-privileges", "--exit-on-error", "--single-transaction")
        with _opened(file, os.O_RDONLY) as source:
            await self._run(
                ["pg_restore", *arguments, f"--dbname={self._uri(database)}"],
                f"{file} cannot be restored",
                source=source,
            )

    async def write_rotated(self, name: str, *, clock: Callable[[], datetime]) -> Path:
        """Writes data_dir/backups/<time>-<name>.dump and removes the oldest beyond KEPT. Raises OperatorError."""
        folder = self.data_dir / "backups"
        file = folder / f"{clock():%Y%m%dT%H%M%SZ}-{name}{_SUFFIX}"
        try:
            if not folder.exists():
                folder.mkdir(mode=0o700)
                hand_over(folder)
        except OSError as error:
            raise OperatorError(f"{folder} cannot be used: {error.strerror}") from None
        await self.write(file)
        hand_over(file)
        for old in sorted(folder.glob(f"*{_SUFFIX}"))[:-KEPT]:
            old.unlink(missing_ok=True)
        return file

    def _uri(self, database: str) -> str:
        return f"postgresql://kannon@/{database}?host={_HERE}/{self.home}"

    async def _run(
        self, argv: Sequence[str], problem: str, *, source: int | None = None, target: int | None = None
    ) -> None:
        home, log = self.data_dir / self.home, self.data_dir / "logs" / "backup.log"
        program = self.bin / argv[0]
        run_as = choose_run_as(home, (program, home))
        start = logfile.begin(log)
        child = spawn(
            ProcessSpec([str(program), *argv[1:]], self.data_dir, log, run_as, SIGKILL, source=source, target=target)
        )
        hand_over(log)
        try:
            failed = await child.wait() != 0
        finally:
            await child.stop(())
        if failed:
            raise OperatorError(f"{problem}: {logfile.last_problem(log, start) or child.describe_end()}")


def read_last_backup(data_dir: Path) -> datetime | None:
    """When `kannon backup` last wrote this data directory's database; None where it never did."""
    try:
        return datetime.fromisoformat((data_dir / _LAST_BACKUP).read_text(encoding="ascii").strip())
    except (OSError, ValueError):
        return None


@contextmanager
def _opened(file: Path, flags: int) -> Iterator[int]:
    """Opened by this process, whatever user the tool runs as. Private if it is new."""
    try:
        handle = os.open(file, flags, 0o600)
    except OSError as error:
        raise OperatorError(f"{file} cannot be opened: {error.strerror}") from None
    try:
        yield handle
    finally:
        os.close(handle)
