"""The data directory: created once, locked by one process at a time; it holds the layout's version, the admin token and
the master key.

    VERSION  lock  admin_token  master_key  last_backup  conf/  logs/  postgres/  nats/  sandbox/

In: a path. Out: an open `DataDir`, whose lock ends with the process, however it ends.
Raises OperatorError, one line, where it is not writable, in use by another process, or created by a newer Kannon.
"""

import fcntl
import os
import pwd
import secrets
from pathlib import Path
from typing import Self

from kannon.errors import OperatorError

LAYOUT = 1
"""Incremented when an earlier program can no longer use the directory of a later one."""

_TOKEN_BYTES = 32


class InUse(OperatorError):
    """Another process holds the lock."""


class DataDir:
    """An opened data directory. `close`, or the end of the `with`, releases the lock."""

    def __init__(self, path: Path, lock: int | None) -> None:
        self.path = path
        self._lock = lock

    @classmethod
    def open(cls, path: Path, *, exclusive: bool = True) -> Self:
        """Creates or checks `path`. `exclusive` takes the lock, for every use with an embedded server."""
        path = path.expanduser().absolute()
        try:
            # Under root the children run as another user and must pass through; each entry inside is private.
            path.mkdir(mode=0o711 if os.geteuid() == 0 else 0o700, parents=True, exist_ok=True)
            path = path.resolve()
            lock = _take_lock(path) if exclusive else None
            _check_version(path)
            (path / "logs").mkdir(mode=0o700, exist_ok=True)
            hand_over(path / "logs")
        except OSError as error:
            raise OperatorError(f"data_dir {path} cannot be used: {error.strerror}{_describe_owner(path)}") from None
        return cls(path, lock)

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    def admin_token(self) -> str:
        """The token of the admin API; the first call generates it, later calls return the same."""
        file = self.path / "admin_token"
        try:
            if not file.exists():
                write_private(file, secrets.token_urlsafe(_TOKEN_BYTES) + "\n")
        except OSError as error:
            raise OperatorError(f"{file} cannot be written: {error.strerror}") from None
        return read_admin_token(self.path)

    def close(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _describe_owner(path: Path) -> str:
    """For an error message, where the directory belongs to another user."""
    try:
        owner = path.stat().st_uid
        if owner == os.geteuid():
            return ""
        return f" (it belongs to {pwd.getpwuid(owner).pw_name})"
    except (OSError, KeyError):
        return ""


def read_admin_token(path: Path) -> str:
    """The token that the server using `path` generated, for the command line. Raises OperatorError."""
    file = path.expanduser() / "admin_token"
    try:
        token = file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        problem = error.strerror if isinstance(error, OSError) else "not a token"
        raise OperatorError(f"{file} cannot be read: {problem}") from None
    if not token:
        raise OperatorError(f"{file} is empty: delete it and start kannon serve, which makes a new one")
    return token


def _take_lock(path: Path) -> int:
    lock = os.open(path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    hand_over(path / "lock")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise InUse(f"data_dir {path} is in use by another kannon serve") from None
    return lock


def _check_version(path: Path) -> None:
    file = path / "VERSION"
    try:
        found = file.read_text(encoding="ascii", errors="replace").strip()
    except FileNotFoundError:
        write_private(file, f"{LAYOUT}\n")
        return
    if not found.isdecimal() or not found.isascii():
        raise OperatorError(f"data_dir {path} is not Kannon's: its VERSION file holds {found[:20]!r}")
    if int(found) > LAYOUT:
        raise OperatorError(
            f"data_dir {path} was made by a newer Kannon (layout {int(found)}, this one supports {LAYOUT}): "
            "install that version"
        )


def write_private(file: Path, text: str) -> None:
    """Writes a file of mode 0600 atomically and durably."""
    fresh = file.with_name(f".{file.name}.new")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
        out.write(text)
        out.flush()
        os.fsync(out.fileno())
    hand_over(fresh)
    fresh.rename(file)
    sync_directory(file.parent)


def hand_over(path: Path) -> None:
    """Gives a path that root created to the owner of its directory, so that a service's user can use it later."""
    if os.geteuid() == 0:
        owner = path.parent.stat()
        os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)


def sync_directory(path: Path) -> None:
    """Makes a rename inside `path` durable."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
