"""The postmaster's mailbox: a Maildir under data_dir.

In: a mail. Out: a durable file. Blocking; called in a thread. The number of unread mails and their bytes are limited,
because anyone can write here.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from kannon.errors import Unavailable
from kannon.maildir import make_maildir, write_mail


class MailboxFull(Exception):
    """The unread mails have reached the limit."""


class PostmasterMailbox:
    def __init__(self, folder: Path, max_unread: int, max_bytes: int) -> None:
        self._folder = folder
        self._max_unread = max_unread
        self._max_bytes = max_bytes

    def deliver(self, mail: bytes) -> None:
        """The mail is on the disk when this returns. Raises MailboxFull, or Unavailable for an error of the disk."""
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
            except FileNotFoundError:  # a reader has moved it meanwhile
                continue
