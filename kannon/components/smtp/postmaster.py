"""The postmaster's mailbox: a Maildir under data_dir, for people to read. A mail in, a durable file out.

Blocking; called in a thread. Refuses to grow beyond a number of unread mails, or of their bytes: strangers can write
here.
"""

import os
import secrets
import time
from collections.abc import Iterator
from pathlib import Path

from kannon.errors import Unavailable


class MailboxFull(Exception):
    """Nobody reads it: as many mails as may wait are waiting."""


class PostmasterMailbox:
    def __init__(self, folder: Path, max_unread: int, max_bytes: int) -> None:
        self._folder = folder
        self._max_unread = max_unread
        self._max_bytes = max_bytes

    def deliver(self, mail: bytes) -> None:
        """On the disk when it returns. Raises MailboxFull, or Unavailable when the disk refuses."""
        try:
            for name in ("tmp", "new", "cur"):
                (self._folder / name).mkdir(mode=0o700, parents=True, exist_ok=True)
            new = self._folder / "new"
            unread = list(_sizes(new))
            if len(unread) >= self._max_unread or sum(unread) + len(mail) > self._max_bytes:
                raise MailboxFull
            name = f"{time.time_ns()}.P{os.getpid()}R{secrets.token_hex(8)}.kannon"
            temporary = self._folder / "tmp" / name
            try:
                _write(temporary, mail)
                temporary.rename(new / name)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise
            _sync_folder(new)
        except OSError as error:
            raise Unavailable(f"postmaster's mailbox: {error.strerror}") from error


def _sizes(folder: Path) -> Iterator[int]:
    with os.scandir(folder) as entries:
        for entry in entries:
            try:
                yield entry.stat().st_size
            except FileNotFoundError:  # read by somebody at this moment
                continue


def _write(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(path: Path) -> None:
    """Without it the new name may be lost in a power cut although the file's content is not."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
