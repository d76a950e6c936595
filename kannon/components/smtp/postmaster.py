"""The postmaster's mailbox: a Maildir under data_dir, for people to read. A mail in, a durable file out.

Blocking; called in a thread. Refuses to grow beyond a number of unread mails, or of their bytes: strangers can write
here.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from kannon.errors import Unavailable
from kannon.maildir import make_maildir, write_mail


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
            make_maildir(self._folder)
            unread = list(_sizes(self._folder / "new"))
            if len(unread) >= self._max_unread or sum(unread) + len(mail) > self._max_bytes:
                raise MailboxFull
            write_mail(self._folder, mail)
        except OSError as error:
            raise Unavailable(f"postmaster's mailbox: {error.strerror}") from error


def _sizes(folder: Path) -> Iterator[int]:
    with os.scandir(folder) as entries:
        for entry in entries:
            try:
                yield entry.stat().st_size
            except FileNotFoundError:  # read by somebody at this moment
                continue
