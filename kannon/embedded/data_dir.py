"""The data directory: made once, held by one process at a time, carrying the layout's version and the admin token.

    VERSION  lock  admin_token  conf/  logs/  postgres/  nats/  sandbox/

In: a path. Out: an open `DataDir`, whose lock ends with the process however it ends.
Refuses with one line each (OperatorError): not writable, in use by another process, made by a newer Kannon.
"""

import fcntl
import os
import pwd
import secrets
from pathlib import Path
from typing import Self

from kannon.errors import OperatorError

LAYOUT = 1
"""Counts up when a later program could no longer be replaced by an earlier one."""

_TOKEN_BYTES = 32


class InUse(OperatorError):
    """Another process holds the lock."""


class DataDir:
    """An opened data directory. `close` (or leaving the `with`) lets the next process in."""

    def __init__(self, path: Path, lock: int | None) -> None:
        self.path = path
        self._lock = lock

    @classmethod
    def open(cls, path: Path, *, exclusive: bool = True) -> Self:
        """Creates or checks `path`. `exclusive` takes the lock: wanted wherever an embedded server runs on it."""
        path = path.expanduser().absolute()
        try:
            # Under root the children are another user and must get through; everything inside is private by itself.
            path.mkdir(mode=0o711 if os.geteuid() == 0 else 0o700, parents=True, exist_ok=True)
            path = path.resolve()
            lock = _take_lock(path) if exclusive else None
            _check_version(path)
            (path / "logs").mkdir(mode=0o700, exist_ok=True)
            hand_over(path / "logs")
        except OSError as error:
            raise OperatorError(f"data_dir {path} cannot be used: {error.strerror}{_whose(path)}") from None
        return cls(path, lock)

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    def admin_token(self) -> str:
        """The token of the admin API, generated at the first call ever and the same from then on."""
        file = self.path / "admin_token"
        try:
            if not file.exists():
                _write_private(file, secrets.token_urlsafe(_TOKEN_BYTES) + "\n")
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


def _whose(path: Path) -> str:
    """A remark for an error, if the directory is not ours."""
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
        _write_private(file, f"{LAYOUT}\n")
        return
    if not found.isdecimal() or not found.isascii():
        raise OperatorError(f"data_dir {path} is not Kannon's: its VERSION file holds {found[:20]!r}")
    if int(found) > LAYOUT:
        raise OperatorError(
            f"data_dir {path} was made by a newer Kannon (layout {int(found)}, this one knows {LAYOUT})"
        )


def _write_private(file: Path, text: str) -> None:
    """Writes a file of mode 0600 that is there completely or not at all, also after a power cut."""
    fresh = file.with_name(f".{file.name}.new")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
        out.write(text)
        out.flush()
        os.fsync(out.fileno())
    hand_over(fresh)
    fresh.rename(file)
    sync_directory(file.parent)


def hand_over(path: Path) -> None:
    """What root makes belongs to the directory's owner, so that a service's account can go on where root began."""
    if os.geteuid() == 0:
        owner = path.parent.stat()
        os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)


def sync_directory(path: Path) -> None:
    """Puts a rename inside `path` on disk."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
