"""A Maildir (maildir(5)): mails are written under `tmp`, then moved to `new`, so that a reader sees whole mails only.

In: a folder, a mail's bytes. Out: a file in `new` that outlives a power cut, and the list of the mails. Blocking; call
it in a thread. Raises OSError, and leaves no half-written file behind then.
"""

import os
import re
import secrets
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

_NAME = re.compile(r"(\d{10,20})\.P\d+R([0-9a-f]{16})\.kannon(?::2,[A-Za-z]*)?")
"""As `write_mail` names a mail; a mail reader that moves it to `cur` appends flags."""


@dataclass(frozen=True, slots=True)
class StoredMail:
    """`id` is unique in the folder, `at` is aware UTC."""

    id: str
    at: datetime
    path: Path


def make_maildir(folder: Path) -> None:
    """Private to this account. A folder that exists stays as it is."""
    for name in ("tmp", "new", "cur"):
        (folder / name).mkdir(mode=0o700, parents=True, exist_ok=True)


def write_mail(folder: Path, mail: bytes) -> None:
    name = f"{time.time_ns()}.P{os.getpid()}R{secrets.token_hex(8)}.kannon"
    temporary, new = folder / "tmp" / name, folder / "new"
    try:
        _write(temporary, mail)
        temporary.rename(new / name)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(new)


def list_mails(folder: Path) -> list[StoredMail]:
    """The newest first, read or not. Files that `write_mail` has not named are left out."""
    found = []
    for path in [*(folder / "new").iterdir(), *(folder / "cur").iterdir()]:
        if match := _NAME.fullmatch(path.name):
            found.append((int(match[1]), StoredMail(match[2], datetime.fromtimestamp(int(match[1]) / 1e9, UTC), path)))
    return [mail for _, mail in sorted(found, key=lambda each: each[0], reverse=True)]


def delete_mails(folder: Path) -> int:
    """The number of deleted mails. A mail that arrives meanwhile may stay."""
    mails = list_mails(folder)
    for mail in mails:
        mail.path.unlink(missing_ok=True)
    return len(mails)


def _write(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(path: Path) -> None:
    """The new name is on the disk only after this, although the file's content is."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
